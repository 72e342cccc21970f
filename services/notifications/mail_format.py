"""The form of a mail on the wire: addresses, headers and bodies as RFC 5322, 2047, 6532 and 2045 want them.

Written by hand because the standard library's `EmailMessage` spends 1.9 ms on what takes 0.1 here. Every value from outside
passes `one_line`, so no header can be added from within a name or a title; a body that is not plain lines of ASCII is encoded, so no line
can end a part.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

import idna

from shared.contracts.errors import Parked
from shared.contracts.values import OrderKey

_BOUNDARY = "=_brown_paper"  # "=_" occurs neither in quoted-printable nor in base64: no encoded body can hold it
_PART_END = f"--{_BOUNDARY}".encode()
_ENCODED_WORD_BYTES = 39  # with "Subject: " before it such a word still ends within the 76 columns of RFC 2047 section 2
_ASCII_LINE = 66
_ASCII_BYTES = bytes(range(128))
_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\r\n"
_LONGEST_LINE = 998  # RFC 5322, 2.1.1

_BREAKS = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Explicit embeddings, overrides and isolates of the bidirectional algorithm: left open, they would turn the text around them.
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_LOCAL = re.compile(r'[^\s<>()\[\]\\,;:@"]{1,64}|"(?:[^"\\]|\\[ -~]){0,62}"')
_DOMAIN = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-z.:]{3,60}\]", re.I | re.A
)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address that is fit for an envelope; its domain always in ASCII. `smtputf8`: the local part needs RFC 6531."""

    address: str = field(repr=False)
    smtputf8: bool

    @classmethod
    def parse(cls, address: str) -> Mailbox:
        """Read an address as RFC 5321 and 6531 allow it. Raises Parked(`mail_address_unfit`) for anything else."""
        local, _, domain = address.rpartition("@")
        if not domain.isascii():
            try:
                domain = idna.encode(domain, uts46=True).decode("ascii")
            except (idna.IDNAError, UnicodeError):
                raise Parked("mail_address_unfit") from None
        if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain) or one_line(local) != local:
            raise Parked("mail_address_unfit")
        return cls(f"{local}@{domain}", smtputf8=not local.isascii())

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def message_id(shop_domain: str, kind: str, order: OrderKey, parcel: str = "") -> str:
    """The Message-ID of one mail: the same for the same shop, order, kind and parcel, so that a repeat is seen as one.

    The left half is a SHA-256 digest, so it shows nothing of the order. Raises ValueError for a `shop_domain` that is none.
    """
    if not _DOMAIN.fullmatch(shop_domain):
        raise ValueError("shop_domain is not a domain in ASCII")
    digest = hashlib.sha256(json.dumps([order.shop, order.order_number, kind, parcel]).encode()).hexdigest()
    return f"<{digest[:40]}@{shop_domain.lower()}>"


def one_line(text: str) -> str:
    """The text as one line: breaks, controls and lone surrogates become spaces, runs of spaces one, bidi controls go."""
    if not (text.isascii() and text.isprintable()):
        kept = (" " if unicodedata.category(sign) in _BREAKS else sign for sign in text if sign not in _BIDI_CONTROLS)
        text = "".join(kept)
    return " ".join(text.split())


def date_header(at: datetime) -> str:
    """When the mail was written (RFC 5322, 3.6.1), in UTC."""
    return f"Date: {_date(int(at.timestamp()))}"


@lru_cache(maxsize=8)
def _date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))


def header(name: str, value: str) -> str:
    """An unstructured header, encoded and folded by RFC 2047 where it must be."""
    value = one_line(value)
    if value.isascii() and len(value) <= _ASCII_LINE and "=?" not in value:
        return f"{name}: {value}"
    return f"{name}: {_encoded_words(value)}"


def mailbox_header(name: str, display_name: str, mailbox: Mailbox) -> str:
    """An address header with one mailbox and its display name."""
    display_name = one_line(display_name)
    if not display_name:
        return f"{name}: {mailbox.address}"
    if display_name.isascii() and len(display_name) <= _ASCII_LINE and "=?" not in display_name:
        quoted = display_name.replace("\\", "\\\\").replace('"', '\\"')
        return f'{name}: "{quoted}" <{mailbox.address}>'
    return f"{name}: {_encoded_words(display_name)}\r\n <{mailbox.address}>"


def assemble(headers: Iterable[str], text: str, html: str, language: str) -> bytes:
    """A whole message: the headers given, then multipart/alternative with the text first and the HTML, the better one, last."""
    part = f"\r\n--{_BOUNDARY}\r\nContent-Language: {language}\r\nContent-Type: text/"
    top = "\r\n".join(
        [*headers, "MIME-Version: 1.0", f'Content-Type: multipart/alternative; boundary="{_BOUNDARY}"', ""],
    )
    return b"".join(
        (
            top.encode(),
            f"{part}plain".encode(),
            _body(text),
            f"{part}html".encode(),
            _body(html),
            f"\r\n--{_BOUNDARY}--\r\n".encode(),
        )
    )


def assemble_plain(headers: Iterable[str], text: str, language: str) -> bytes:
    """A whole message in plain text alone: the headers given, then the text."""
    top = "\r\n".join([*headers, "MIME-Version: 1.0", f"Content-Language: {language}", "Content-Type: text/plain"])
    return top.encode() + _body(text) + b"\r\n"


def _body(content: str) -> bytes:
    data = content.replace("\n", "\r\n").encode()
    if content.isascii() and _is_fit_as_it_is(data):
        return b"; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" + data
    if len(data.translate(None, _ASCII_BYTES)) * 6 > len(data):
        name, encoded = b"base64", base64.encodebytes(data).replace(b"\n", b"\r\n")
    else:
        name, encoded = b"quoted-printable", binascii.b2a_qp(data, istext=True)
    return b"; charset=utf-8\r\nContent-Transfer-Encoding: " + name + b"\r\n\r\n" + encoded


def _is_fit_as_it_is(data: bytes) -> bool:
    """Whether an ASCII body is printable lines that every server passes on unchanged, none of which could end the part it stands in."""
    if data.translate(None, _PRINTABLE) or data.count(b"\r") != data.count(b"\n") or _PART_END in data:
        return False
    if b" \r\n" in data or data.endswith(b" ") or b"\nFrom " in data or data.startswith(b"From "):
        return (
            False  # blanks at the end of a line, and a line that begins like a mail in a file of mails, are changed on some ways
        )
    return max(map(len, data.split(b"\r\n"))) <= _LONGEST_LINE


def _encoded_words(value: str) -> str:
    words: list[bytes] = []
    word = b""
    for sign in value:
        data = sign.encode()
        if len(word) + len(data) > _ENCODED_WORD_BYTES:
            words.append(word)
            word = b""
        word += data
    words.append(word)
    return "\r\n ".join(f"=?utf-8?B?{base64.b64encode(word).decode()}?=" for word in words)
