"""What the shop says to everybody: a new version of the policy, held against the one before, and letters. Time is an argument."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contracts.errors import Fault, Refused
from shared.policy import Policy, VersionsRefused
from shared.policy.changes import difference, is_another_policy
from shared.policy.notices import noticed, widened
from shared.policy.versions import date_of

ANNOUNCEMENT = "announcement"
COUNTED_DAYS = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Publication:
    """A version as it was published: `document` is its whole text, `said_by` who of the staff published it."""

    version: str
    previous: str
    document: str
    widened: tuple[str, ...]
    noticed: tuple[str, ...]
    is_mailed: bool
    said_by: str
    published_at: datetime


@dataclass(frozen=True, slots=True)
class LetterToMany:
    """A letter of the class `kind`, to whoever the gate of mails lets it reach. `said_by` are those of the staff who send it."""

    kind: str
    subject: str
    text: str
    said_by: tuple[str, ...]
    announced_at: datetime

    @property
    def name(self) -> str:
        """The letter's own digest: the same letter is the same announcement."""
        return hashlib.sha256("\0".join((self.kind, self.subject, self.text)).encode()).hexdigest()[:32]


def publish(old: Policy, new: Policy, document: str, *, said_by: str, is_mailed: bool, at: datetime) -> Publication:
    """The new version against the one before it (clauses 55, 57, 60 to 62).

    Raises Refused: `version_malformed` where the version is no date, `version_not_later` where it does not come after the one before or
    begins before today, `policy_same` where nothing but the date differs.
    """
    try:
        day = date_of(new.version)
    except VersionsRefused:
        raise Refused([Fault("version_malformed", "/policy")]) from None
    if new.version <= old.version or day < at.date():
        raise Refused([Fault("version_not_later", "/policy")])
    changes = difference(old, new)
    if not is_another_policy(changes):
        raise Refused([Fault("policy_same", "/policy")])
    told = (tuple(widened(changes, old, new)), tuple(noticed(changes, old, new)))
    return Publication(new.version, old.version, document, *told, is_mailed, said_by, at)


def announce(letter: LetterToMany, announced_at: Collection[datetime], most: int) -> None:
    """Whether a letter may go out, `announced_at` being when announcements went out before: announcements are rare (clause 29).

    Raises Refused(`announcements_too_many`) for one more than `most` in 30 days, unless two different ones of the staff send it.
    """
    if letter.kind != ANNOUNCEMENT or len(set(letter.said_by)) >= 2:
        return
    lately = [it for it in announced_at if letter.announced_at - it < COUNTED_DAYS]
    if len(lately) >= most:
        raise Refused([Fault("announcements_too_many", "/by")])
