"""`python -m services.payments`: serve until told to stop."""

from services.payments.service import PaymentsService
from services.payments.settings import PaymentsSettings
from shared import runtime  # first of all: eventlet patches what the others import

runtime.run(PaymentsService, PaymentsSettings)
