"""`python -m services.shipping`: serve until told to stop."""

# isort: off
from shared import runtime  # first of all: eventlet patches what the others import

from services.shipping.service import ShippingService
from services.shipping.settings import ShippingSettings

runtime.run(ShippingService, ShippingSettings)
