"""`python -m services.notifications`: serve until told to stop."""

from services.notifications.service import NotificationsService
from services.notifications.settings import NotificationsSettings
from shared import runtime  # first of all: eventlet patches what the others import

runtime.run(NotificationsService, NotificationsSettings)
