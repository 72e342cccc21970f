"""`python -m tests.bench.memory_edges.notifications`: notifications, whose mail server is memory.

The contact is opened and the mail composed and rendered, as `send_mail` does before it hands a mail over; only the SMTP is not there.
"""

from __future__ import annotations

# isort: off
from shared import runtime  # first of all: eventlet patches what the others import

from typing import Any

from nameko.extensions import DependencyProvider

from services.notifications.service import NotificationsService
from services.notifications.settings import NotificationsSettings

# isort: on


class MemoryMailbox:
    """Takes every mail, and keeps none."""

    def send(self, sender: str, recipient: str, message: bytes, *, smtputf8: bool) -> None:
        return None


class MemoryMailServer(DependencyProvider):
    def get_dependency(self, worker_ctx: Any) -> MemoryMailbox:
        return MemoryMailbox()


class NotificationsAtMemory(NotificationsService):
    mailbox = MemoryMailServer()


if __name__ == "__main__":
    runtime.run(NotificationsAtMemory, NotificationsSettings)
