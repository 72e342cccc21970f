"""The ways in which a marker is planted: each must be seen in each place before a run's verdict counts."""

from __future__ import annotations

import base64
import gzip
import html
import json
import quopri
import zlib
from collections.abc import Callable
from urllib.parse import quote

WRITTEN: dict[str, Callable[[str], bytes]] = {
    "utf-8": str.encode,
    "lower case": lambda text: text.lower().encode(),
    "upper case": lambda text: text.upper().encode(),
    "utf-16 little": lambda text: text.encode("utf-16-le"),
    "utf-16 big": lambda text: text.encode("utf-16-be"),
    "percent upper": lambda text: "".join(f"%{code:02X}" for code in text.encode()).encode(),
    "percent lower": lambda text: "".join(f"%{code:02x}" for code in text.encode()).encode(),
    "percent twice": lambda text: quote("".join(f"%{code:02x}" for code in text.encode())).encode(),
    "quoted-printable": lambda text: "".join(f"={code:02X}" for code in text.encode()).encode(),
    "quoted-printable spared": lambda text: quopri.encodestring(f"é{text}ß".encode()),
    "hex upper": lambda text: text.encode().hex().upper().encode(),
    "hex lower": lambda text: text.encode().hex().encode(),
    "json escapes": lambda text: "".join(f"\\u{ord(sign):04X}" for sign in text).encode(),
    "json spared": lambda text: json.dumps(f"é{text}ß").encode(),
    "json escapes twice": lambda text: json.dumps("".join(f"\\u{ord(sign):04x}" for sign in text)).encode(),
    "html decimal": lambda text: "".join(f"&#{ord(sign)};" for sign in text).encode(),
    "html hex": lambda text: "".join(f"&#X{ord(sign):X};" for sign in text).encode(),
    "html named": lambda text: html.escape(f"<&{text}&>").encode(),
    **{f"base64 at {it}": lambda text, it=it: base64.b64encode(b"~" * it + text.encode() + b"~~") for it in range(3)},
    **{f"base64 url at {it}": lambda text, it=it: base64.urlsafe_b64encode(b"~" * it + text.encode() + b"~~") for it in range(3)},
    "base64 folded": lambda text: base64.encodebytes(b"~" * 50 + text.encode()),
    "folded softly": lambda text: (text[:6] + "=\r\n" + text[6:]).encode(),
    "gzip": lambda text: gzip.compress(text.encode() * 3),
    "zlib": lambda text: zlib.compress(text.encode()),
    "zlib cut off": lambda text: zlib.compress(text.encode() + bytes(range(256)) * 9)[:-60],
    "gzip in gzip": lambda text: gzip.compress(b"<" + gzip.compress(text.encode()) + b">"),
}
