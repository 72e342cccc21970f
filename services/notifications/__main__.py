"""`python -m services.notifications`: serve until told to stop."""

# isort: off
from shared import runtime  # first of all: eventlet patches what the others import

from services.notifications.service import NotificationsService
from services.notifications.settings import NotificationsSettings

runtime.run(NotificationsService, NotificationsSettings)
