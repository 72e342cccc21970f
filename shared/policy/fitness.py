"""Whether a sound policy may be in force under this release: its times are what the services do, its mails stop, plain things are plain.

A release may ask more of it than the one before. What was in force earlier has bound what was collected then, and is not judged anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shared.policy.document import MailClass, Policy
from shared.policy.endings import unobeyed, untimed
from shared.policy.plainness import personal_among_plain
from shared.policy.soundness import open_for

LOG_SETTINGS: Final = frozenset(
    {
        "log_statement",
        "log_min_error_statement",
        "log_min_duration_statement",
        "log_error_verbosity",
        "log_parameter_max_length",
        "log_parameter_max_length_on_error",
    }
)
"""Without a word on each of these a server's log may hold values."""
_STOPPERS_OF_WHAT_IS_ASKED_FOR: Final = {"no_mailings", "no_communication", "deactivated"}
_RELEASERS: Final = 2

Path = tuple[str | int, ...]
Found = tuple[Path, str, str]


def unfitness(policy: Policy) -> Iterator[Found]:
    """Every (path, code, words) for which a policy may not be in force, and so not be published either."""
    yield from unobeyed(policy)
    yield from untimed(policy)
    yield from personal_among_plain(policy)
    yield from _unsaid(policy)
    for name, hold in policy.holds.items():
        if hold.retention is not None and not hold.retention.after:
            yield ("holds", name, "retention", "after"), "retention_without_start", "nothing that happens starts its time"
    for name, grant in policy.staff.items():
        if "release" in grant.actions and grant.people != _RELEASERS:
            yield ("staff", name, "people"), "release_alone", "giving data to an authority takes two"
    for name, mails in policy.mails.items():
        yield from _mailed(policy, mails, ("mails", name))


def _mailed(policy: Policy, mails: MailClass, path: Path) -> Iterator[Found]:
    """A class of mails is made of what its mailer may read, and stops for whoever must not get it."""
    if mails.part not in policy.parts or mails.purpose not in policy.purposes:
        return
    for mailer in sorted({it.by for it in policy.disclosures.values() if (it.method, it.purpose) == ("MAIL", mails.purpose)}):
        readable = open_for(policy, mailer, mails.part, mails.purpose)
        for field in sorted(set(mails.fields) & set(policy.parts[mails.part].fields) - readable):
            yield (*path, "fields"), "mailed_unheld", f"{mailer} may not read `{field}` for `{mails.purpose}`"
    stoppers = {"friend_opted_out"} if policy.parts[mails.part].subject == "friend" else {"erased"}
    if "erased" in stoppers and mails.to_deactivated == "never":
        stoppers.add("deactivated")
    if mails.promotional or mails.needs_consent:
        stoppers |= _STOPPERS_OF_WHAT_IS_ASKED_FOR
    for stopper in sorted(stoppers - set(mails.stopped_by)):
        yield (*path, "stopped_by"), "mail_unstoppable", f"it would come in spite of `{stopper}`"


def _unsaid(policy: Policy) -> Iterator[Found]:
    """What has to stand there of every server."""
    for service in set(policy.services) - {user.service for user in policy.broker.users.values()}:
        yield ("broker", "users"), "service_without_user", f"{service} has no user: nobody could say what it may do"
    for setting in sorted(LOG_SETTINGS - set(policy.databases.settings)):
        yield ("databases", "settings"), "setting_missing", f"nobody says what `{setting}` is"
