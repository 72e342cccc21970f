"""What many people read: a change of the policy, a notice, an announcement, a newsletter. Plain text, no picture, no link but our own.

A class of mail that must show the way out is not rendered without it: in its text and as a List-Unsubscribe header (clauses 27, 58 and 61).
The links are settings, the same for everybody: they hold no word of the person (clause 40). So a reader says who they are at the shop, and
RFC 8058's one click, which would need a name in the link, is not offered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from services.notifications.letters import RenderedMail, Shop, texts_from
from services.notifications.mail_format import Mailbox, assemble_plain, date_header, header, mailbox_header, one_line
from shared.contracts.errors import Parked

_LINK = re.compile(r"https?://[!-~]{1,500}", re.ASCII)
_CONTROLS = re.compile(r"[^\S\n]*[\x00-\x09\x0b-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circular:
    """What every letter to many knows. `letter` is its random name: the same however often it is sent."""

    kind: ClassVar[str]

    letter: UUID
    to_name: str = field(repr=False)
    to_email: str = field(repr=False)
    language: str = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange(Circular):
    """Data is to be used in a new way: what widens, from when, and that saying nothing is no (clauses 57 and 58)."""

    kind: ClassVar[str] = "policy_change"

    version: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyNotice(Circular):
    """The policy reads otherwise, and nothing is used in a new way (clause 61)."""

    kind: ClassVar[str] = "policy_notice"

    version: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement(Circular):
    """Strictly about the service (clauses 29 to 32)."""

    kind: ClassVar[str] = "announcement"

    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Newsletter(Circular):
    """For those who asked for it (clauses 25 to 27)."""

    kind: ClassVar[str] = "newsletter"

    subject: str
    text: str


CIRCULARS: dict[str, type[Circular]] = {its.kind: its for its in (PolicyChange, PolicyNotice, Announcement, Newsletter)}


@dataclass(frozen=True, slots=True)
class Ways:
    """Where readers go: to say yes or no to a changed policy, and to stop mail. None where the shop has not set them."""

    choice: str | None = None
    out: str | None = None


_ENVIRONMENT = texts_from(Path(__file__).parent / "templates", autoescape=False)
TEXTS = {kind: _ENVIRONMENT.get_template(f"en/{kind}.txt.j2") for kind in CIRCULARS}


def write(kind: str, letter: UUID, told: dict[str, Any], contact: Any) -> Circular:
    """The letter of this kind to this contact. Raises KeyError for an unknown kind."""
    named: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    to: dict[str, Any] = {"to_name": contact.name, "to_email": contact.email, "language": contact.language}
    return CIRCULARS[kind](letter=letter, **to, **named)


def render(circular: Circular, shop: Shop, at: datetime, ways: Ways, *, must_show_way_out: bool) -> RenderedMail:
    """Write it: a complete message, dated `at`. The same input gives the same bytes; safe to repeat.

    Raises Parked: `mail_address_unfit`; `way_out_missing` where the letter must show it and its link stands not in text and header, and
    `choice_link_missing` where a changed policy could not be answered.
    """
    recipient = Mailbox.parse(circular.to_email)
    values = {name: getattr(circular, name) for name in type(circular).__dataclass_fields__ if not name.startswith("to_")}
    values |= {
        "name": one_line(circular.to_name),
        "shop": one_line(shop.name),
        "choice": ways.choice or "",
        "way_out": ways.out or "",
    }
    if isinstance(circular, PolicyChange) and not ways.choice:
        raise Parked("choice_link_missing")
    heading, _, text = TEXTS[circular.kind].render(values).partition("\n\n")
    text = _CONTROLS.sub(" ", text)
    headers = [
        date_header(at),
        mailbox_header("From", shop.name, shop.sender),
        mailbox_header("To", circular.to_name, recipient),
        header("Subject", heading.removeprefix("Subject: ")),
        f"Message-ID: <{circular.letter.hex}@{shop.domain.lower()}>",
        "Auto-Submitted: auto-generated",
        f"X-Brown-Paper-Kind: {circular.kind}",
    ]
    if ways.out and must_show_way_out:
        headers.append(f"List-Unsubscribe: <mailto:{shop.sender.address}?subject=unsubscribe>, <{ways.out}>")
    if must_show_way_out and not _shows(ways.out, text, headers):
        raise Parked("way_out_missing")
    return RenderedMail(
        message_id=f"<{circular.letter.hex}@{shop.domain.lower()}>",
        sender=shop.sender.address,
        recipient=recipient.address,
        smtputf8=recipient.smtputf8 or shop.sender.smtputf8,
        message=assemble_plain(headers, text, "en"),
    )


def _shows(way_out: str | None, text: str, headers: list[str]) -> bool:
    """Whether the link stands in the text, on a line of its own, and in the header."""
    if way_out is None or not _LINK.fullmatch(way_out):
        return False
    return way_out in text.splitlines() and any(it.startswith("List-Unsubscribe:") and f"<{way_out}>" in it for it in headers)
