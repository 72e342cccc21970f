"""`python -m services.orders`: serve until told to stop."""

from services.orders.service import OrdersService
from services.orders.settings import OrdersSettings
from shared import runtime  # first of all: eventlet patches what the others import

runtime.run(OrdersService, OrdersSettings)
