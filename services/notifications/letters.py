"""What the buyer reads: the order's confirmation, word of each parcel's dispatch and of its delivery. How every letter is written.

Letters about trouble stand in `difficulty_letters.py`, those to a friend or to whoever asked for something in `personal_letters.py`.
The three here are service mails (privacy policy, clauses 29 to 32): they have a fixed set of fields and templates, so no promotion,
no remote picture and no tracking pixel has a place in them, and no List-Unsubscribe belongs on them. None has a field for a
shipping address or a payment. Plain data goes in and bytes come out; templates are read at import, never at sending.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from services.notifications.links import harmless
from services.notifications.mail_format import Mailbox, assemble, date_header, header, mailbox_header, message_id, one_line
from shared.contracts.errors import Parked
from shared.contracts.values import CURRENCIES, Money

__all__ = [
    "DeliveryMail",
    "Letter",
    "LetterLine",
    "OrderConfirmation",
    "RenderedMail",
    "ShipmentMail",
    "Shop",
    "message_id",
    "render",
]

_MESSAGE_ID = re.compile(r"<[!#-'*+\-/-9=?A-Z^-~.]+@[!-;=?A-~]+>", re.ASCII)
_ORDER_NUMBER = re.compile(r"[A-Za-z0-9._~-]{1,64}", re.ASCII)
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]")


@dataclass(frozen=True, slots=True)
class Shop:
    """Who writes: the shop's name and the address that replies reach. Raises Parked for an address that is none."""

    name: str
    mail_from: str
    sender: Mailbox = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sender", Mailbox.parse(self.mail_from))

    @property
    def domain(self) -> str:
        """The domain for `message_id`."""
        return self.sender.domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What every letter knows. `language` is the recipient's BCP 47 tag; without texts in it the letter is in English.

    `order_number` is None where it is about no order.
    """

    kind: ClassVar[str]

    message_id: str
    order_number: str | None = None
    to_name: str = field(repr=False)
    to_email: str = field(repr=False)
    language: str = "en"

    def values(self) -> dict[str, Any]:
        """What its templates are filled with beside names and the order's number; texts of one line each, or lists of such by name."""
        return {}

    def more_headers(self) -> tuple[str, ...]:
        """Headers of its own, ready for the wire."""
        return ()


@dataclass(frozen=True, slots=True)
class LetterLine:
    """One line of the order as the buyer knows it."""

    line: int
    title: str
    quantity: int
    unit_price: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderConfirmation(Letter):
    """What was ordered and what it costs, all in the currency of `total`."""

    kind: ClassVar[str] = "order_confirmation"

    placed_at: datetime
    lines: tuple[LetterLine, ...]
    discount: Money
    shipping: Money
    tax: Money
    total: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentMail(Letter):
    """A parcel has left. `tracking_url` is shown where it is https and holds nothing of the recipient, else left out."""

    kind: ClassVar[str] = "shipment"

    carrier: str
    tracking_number: str = field(repr=False)
    tracking_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryMail(Letter):
    """A parcel has arrived."""

    kind: ClassVar[str] = "delivery"


@dataclass(frozen=True, slots=True)
class RenderedMail:
    """A mail ready for SMTP: the envelope and the message with CRLF. `smtputf8`: the server must speak RFC 6531."""

    message_id: str
    sender: str
    recipient: str = field(repr=False)
    smtputf8: bool
    message: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Language:
    """How a language writes dates and money, and whether it runs from right to left."""

    months: tuple[str, ...]
    symbols: Mapping[str, str]
    direction: str = "ltr"
    group: str = ","
    point: str = "."

    def date(self, moment: datetime) -> str:
        moment = moment.astimezone(UTC)
        return f"{moment.day} {self.months[moment.month - 1]} {moment.year}, {moment.hour:02}:{moment.minute:02} UTC"

    def money(self, money: Money) -> str:
        digits = CURRENCIES[money.currency]
        whole, minor = divmod(abs(money.amount_minor), 10**digits)
        amount = f"{whole:,}".replace(",", self.group) + (f"{self.point}{minor:0{digits}}" if digits else "")
        symbol = self.symbols.get(money.currency) or f"{money.currency}\u00a0"
        return f"{'-' if money.amount_minor < 0 else ''}{symbol}{amount}"


_LANGUAGES = {
    "en": _Language(
        months=(
            *("January", "February", "March", "April", "May", "June"),
            *("July", "August", "September", "October", "November", "December"),
        ),
        # Only signs that English readers cannot take for another currency; the total's line names the code besides.
        symbols={"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"},
    ),
}


@dataclass(frozen=True, slots=True)
class _Texts:
    """One kind of letter in one language."""

    language: str
    style: _Language
    text: Template
    html: Template


def texts_from(folder: Path, *, autoescape: bool) -> Environment:
    """The templates of this folder. They have no globals, which each rendering would copy several times."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=autoescape,  # noqa: S701 - off for plain text only, which has nothing to escape
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,  # all of them, in a plain dictionary without a lock
    )
    environment.globals.clear()
    return environment


def _read_templates(folder: Path) -> dict[tuple[str, str], _Texts]:
    plain, escaped = texts_from(folder, autoescape=False), texts_from(folder, autoescape=True)
    return {
        (tag, kind): _Texts(tag, style, plain.get_template(f"{tag}/{kind}.txt.j2"), escaped.get_template(f"{tag}/{kind}.html.j2"))
        for tag, style in _LANGUAGES.items()
        for kind in sorted(path.name.removesuffix(".html.j2") for path in (folder / tag).glob("*.html.j2"))
    }


_TEMPLATES = _read_templates(Path(__file__).parent / "templates")


def render(letter: Letter, shop: Shop, at: datetime) -> RenderedMail:
    """Write a letter: gives a complete message, dated `at`. The same input gives the same bytes; safe to repeat.

    Raises Parked(`mail_address_unfit`, `message_id_unfit` or `order_number_unfit`) for what no header may hold, and ValueError
    for a time without a zone or amounts of two currencies. None of them repeats a value.
    """
    if at.tzinfo is None:
        raise ValueError("at needs a time zone")
    if not _MESSAGE_ID.fullmatch(letter.message_id):
        raise Parked("message_id_unfit")
    if letter.order_number is not None and not _ORDER_NUMBER.fullmatch(letter.order_number):
        raise Parked("order_number_unfit")
    recipient = Mailbox.parse(letter.to_email)
    texts = _texts(letter.kind, letter.language)
    values = {"name": one_line(letter.to_name), "shop": one_line(shop.name), "order_number": letter.order_number or ""}
    values |= _values(letter, texts.style)
    heading, _, text = texts.text.render(_isolated(values)).partition("\n\n")
    subject = heading.removeprefix("Subject: ")
    html = texts.html.render(values, subject=subject, language=texts.language, direction=texts.style.direction)
    headers = (
        date_header(at),
        mailbox_header("From", shop.name, shop.sender),
        mailbox_header("To", letter.to_name, recipient),
        header("Subject", subject),
        f"Message-ID: {letter.message_id}",
        "Auto-Submitted: auto-generated",
        f"X-Brown-Paper-Kind: {letter.kind}",
        *((f"X-Brown-Paper-Order: {letter.order_number}",) if letter.order_number is not None else ()),
        *letter.more_headers(),
    )
    return RenderedMail(
        message_id=letter.message_id,
        sender=shop.sender.address,
        recipient=recipient.address,
        smtputf8=recipient.smtputf8 or shop.sender.smtputf8,
        message=assemble(headers, text, html, texts.language),
    )


def _texts(kind: str, language: str) -> _Texts:
    """The closest texts there are: `de-AT`, then `de`, then English (RFC 4647, look-up)."""
    tag = language.lower().replace("_", "-")
    while tag:
        if (tag, kind) in _TEMPLATES:
            return _TEMPLATES[tag, kind]
        tag = tag.rpartition("-")[0]
    return _TEMPLATES["en", kind]


def _values(letter: Letter, style: _Language) -> dict[str, Any]:
    match letter:
        case OrderConfirmation():
            return _confirmation_values(letter, style)
        case ShipmentMail():
            return {
                "carrier": one_line(letter.carrier),
                "tracking_number": one_line(letter.tracking_number),
                "tracking_url": _harmless_link(letter),
            }
        case _:
            return letter.values()


def _confirmation_values(letter: OrderConfirmation, style: _Language) -> dict[str, Any]:
    if letter.placed_at.tzinfo is None:
        raise ValueError("placed_at needs a time zone")
    nothing = Money(0, letter.total.currency)
    lines: list[dict[str, Any]] = []
    items = nothing
    for line in letter.lines:
        amount = line.unit_price * line.quantity
        items += amount
        title = one_line(line.title) or f"Item {line.line}"
        lines.append(
            {"title": title, "quantity": line.quantity, "unit_price": style.money(line.unit_price), "amount": style.money(amount)}
        )
    discount, shipping, tax = nothing + letter.discount, nothing + letter.shipping, nothing + letter.tax
    return {
        "placed_at": style.date(letter.placed_at),
        "lines": lines,
        "items": style.money(items),
        "discount": style.money(discount) if discount.amount_minor else "",
        "shipping": style.money(shipping),
        "tax": style.money(tax),
        "total": style.money(letter.total),
        "currency": letter.total.currency,
    }


def _harmless_link(letter: ShipmentMail) -> str:
    """The carrier's link, or nothing: https only, no credentials, and no word of the recipient's (clause 40)."""
    return harmless(letter.tracking_url or "", letter.to_name)


def _isolated(values: dict[str, Any]) -> dict[str, Any]:
    """For plain text: set what runs from right to left apart (UAX 9, FSI and PDI), so that it cannot turn the words around it."""
    return {
        key: f"\u2068{value}\u2069"
        if isinstance(value, str) and not value.isascii() and _RIGHT_TO_LEFT.search(value)
        else [_isolated(line) for line in value]
        if isinstance(value, list)
        else value
        for key, value in values.items()
    }
