"""`python -m services.payments`: serve until told to stop."""

# isort: off
from shared import runtime  # first of all: eventlet patches what the others import

from services.payments.service import PaymentsService
from services.payments.settings import PaymentsSettings

runtime.run(PaymentsService, PaymentsSettings)
