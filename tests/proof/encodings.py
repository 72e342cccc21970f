"""How a text can be written in bytes. All is searched in lower case, so that upper and lower are one.

Whatever leaves letters and digits as they are (JSON, URLs, HTML, quoted-printable, SQL) is found as plain text; here is also what such an
encoding could make of them if it spared none.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

PLAIN = "utf-8"
Form = Callable[[str], Iterator[str]]


def patterns(text: str) -> dict[str, set[bytes]]:
    """Encoding → the byte strings, in lower case, by which this text (ASCII) is found in it: all capitals, none, or the first."""
    found: dict[str, set[bytes]] = {name: set() for name in NAMES}
    found[PLAIN].add(text.lower().encode())
    found["utf-16"].add(text.lower().encode("utf-16-le")[:-1])  # as it stands in both byte orders
    for form in {text.capitalize(), text.lower(), text.upper()}:
        codes = form.encode()
        for name, one in _EACH_SIGN.items():
            found[name].add("".join(one(code) for code in codes).lower().encode())
        for offset in range(3):
            standard = _inner_base64(codes, offset)
            found[f"base64 at {offset}"] |= {standard.lower(), standard.translate(_TO_URL_SAFE).lower()}
    return found


_EACH_SIGN: dict[str, Callable[[int], str]] = {
    "percent": lambda code: f"%{code:02x}",
    "percent, twice": lambda code: f"%25{code:02x}",
    "quoted-printable": lambda code: f"={code:02x}",
    "hex": lambda code: f"{code:02x}",
    "JSON escapes": lambda code: f"\\u{code:04x}",
    "JSON escapes, twice": lambda code: f"\\\\u{code:04x}",
    "HTML decimal": lambda code: f"&#{code};",
    "HTML hex": lambda code: f"&#x{code:x};",
}
_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
NAMES = (PLAIN, "utf-16", *_EACH_SIGN, *(f"base64 at {offset}" for offset in range(3)))


def _inner_base64(text: bytes, offset: int) -> bytes:
    """The signs of base64 that depend on nothing but the text, where it begins `offset` bytes into a group of three."""
    whole = base64.b64encode(bytes(offset) + text)
    return whole[-(-8 * offset // 6) : 8 * (offset + len(text)) // 6]
