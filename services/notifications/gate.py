"""The gate of every mail: whether one of its class may be sent to this person now. Asked again at the moment of sending, for every kind.

    class of mail        active and said    nothing    all    service_only    none            deactivated     erased
    order, difficulty                       yes        yes    yes             open order      open order      no
    announcement, policy                    yes        yes    yes             no              no              no
    newsletter, notice                      no         yes    no              no              no              no

What the table says in words stands in the policy's classes of mail; nothing here names a class.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

Communication = Literal["all", "service_only", "none"]


class MailClass(Protocol):
    """What the gate needs of a class of mail, as the policy has it."""

    @property
    def kinds(self) -> Collection[str]: ...
    @property
    def promotional(self) -> bool: ...
    @property
    def needs_consent(self) -> bool: ...
    @property
    def stopped_by(self) -> Collection[str]: ...
    @property
    def to_deactivated(self) -> str: ...


M = TypeVar("M", bound=MailClass)


@dataclass(frozen=True, slots=True)
class Reader:
    """Whoever would read the mail: `state` is active, deactivated or erased; `communication` the last word of it, None for none.

    `has_open_order`: the mail is about an order of theirs that has not ended.
    """

    state: str = "active"
    communication: Communication | None = None
    has_open_order: bool = False


def refusal(mails: MailClass, reader: Reader) -> str | None:
    """Why a mail of this class may not be sent; None where it may (clauses 7, 25, 29 to 31, 57 to 61; addendum A-12)."""
    if reader.state == "erased":
        return "person_erased"
    for_open_order = mails.to_deactivated == "for_an_open_order" and reader.has_open_order
    if reader.state == "deactivated" and ("deactivated" in mails.stopped_by or not for_open_order):
        return "person_deactivated"
    if reader.communication == "none" and ("no_communication" in mails.stopped_by or not for_open_order):
        return "no_communication"
    if reader.communication in ("none", "service_only") and "no_mailings" in mails.stopped_by:
        return "no_mailings"
    if (mails.promotional or mails.needs_consent) and reader.communication != "all":
        return "not_asked_for"  # silence is no
    return None


def classes_by_kind(mails: Mapping[str, M]) -> dict[str, M]:
    """Kind of letter → its class. Raises ValueError for a kind of two classes."""
    found: dict[str, M] = {}
    for its in mails.values():
        for kind in its.kinds:
            if kind in found:
                raise ValueError(f"the letter {kind} is of two classes")
            found[kind] = its
    return found
