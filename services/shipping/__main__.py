"""`python -m services.shipping`: serve until told to stop."""

from services.shipping.service import ShippingService
from services.shipping.settings import ShippingSettings
from shared import runtime  # first of all: eventlet patches what the others import

runtime.run(ShippingService, ShippingSettings)
