"""`python -m services.orders`: serve until told to stop."""

# isort: off
from shared import runtime  # first of all: eventlet patches what the others import

from services.orders.service import OrdersService
from services.orders.settings import OrdersSettings

runtime.run(OrdersService, OrdersSettings)
