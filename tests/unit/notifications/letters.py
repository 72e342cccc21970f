"""One letter of each kind, and how a test reads the mail that is made of it."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header
from email.message import EmailMessage
from email.utils import unquote
from html.parser import HTMLParser

from services.notifications.difficulty_letters import DIFFICULTY_LETTERS
from services.notifications.letters import (
    DeliveryMail,
    Letter,
    LetterLine,
    OrderConfirmation,
    RenderedMail,
    ShipmentMail,
    Shop,
)
from shared.contracts.values import Money, OrderKey

AT = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)
SHOP = Shop("Astro Jewelry", "orders@astrojewelry.example")
KEY = OrderKey("https://www.astrojewelry.example", "AJ-100042")
HEADERS = ["Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted", "X-Brown-Paper-Kind", "X-Brown-Paper-Order"]
HEADERS += ["MIME-Version", "Content-Type"]
TAGS = {"html", "head", "meta", "title", "style", "body", "table", "tr", "td", "th", "p", "h1", "br", "strong", "bdi", "a"}


def usd(amount: str) -> Money:
    return Money.parse(amount, "USD")


CONFIRMATION = OrderConfirmation(
    message_id="<c1@astrojewelry.example>",
    order_number="AJ-100042",
    to_name="Ana Müller",
    to_email="ana@example.com",
    placed_at=datetime(2026, 11, 22, 10, 14, 58, tzinfo=UTC),
    lines=(LetterLine(1, "Elvish band, size 9", 1, usd("1129.00")), LetterLine(2, "Chain-nose pliers", 2, usd("18.50"))),
    discount=usd("0.00"),
    shipping=usd("7.95"),
    tax=usd("13.70"),
    total=usd("1187.65"),
)
SHIPMENT = ShipmentMail(
    message_id="<s1@astrojewelry.example>",
    order_number="AJ-100042",
    to_name="Ana Müller",
    to_email="ana@example.com",
    carrier="UPS",
    tracking_number="1Z999AA10123456784",
    tracking_url="https://www.ups.com/track?tracknum=1Z999AA10123456784",
)
DELIVERY = DeliveryMail(
    message_id="<d1@astrojewelry.example>", order_number="AJ-100042", to_name="Ana Müller", to_email="ana@example.com"
)
TROUBLE = tuple(
    letter(
        message_id=f"<{kind}@astrojewelry.example>", order_number="AJ-100042", to_name="Ana Müller", to_email="ana@example.com"
    )
    for kind, letter in DIFFICULTY_LETTERS.items()
)
LETTERS = (CONFIRMATION, SHIPMENT, DELIVERY, *TROUBLE)


class Page(HTMLParser):
    """What a reader sees of an HTML body, its tags, its links, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words, self.tags, self.links, self.open = "", set[str](), list[str](), list[str]()
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "background", "action")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words += data


def parse(mail: RenderedMail) -> EmailMessage:
    message = message_from_bytes(mail.message, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def bodies(mail: RenderedMail) -> tuple[str, Page]:
    text, html = parse(mail).iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    return text.get_content().replace("\r\n", "\n"), Page(html.get_content())


def display_name(mail: RenderedMail, name: str) -> str:
    """The name in an address header. (`policy.default` of Python 3.11 puts a space between the encoded words of a phrase.)"""
    phrase = message_from_bytes(mail.message, policy=policy.compat32)[name].rpartition("<")[0].strip()
    if phrase.startswith('"'):
        return unquote(phrase)
    return "".join(part if isinstance(part, str) else part.decode(charset or "ascii") for part, charset in decode_header(phrase))


def kind(letter: Letter) -> str:
    return letter.kind
