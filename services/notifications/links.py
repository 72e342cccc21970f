"""Links that may stand in a mail: they tell nobody who reads it (clause 40)."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus, urlsplit

_LINK = re.compile(r"https://[!-~]{1,2000}", re.ASCII)


def harmless(url: str, name: str) -> str:
    """The link, or nothing: https only, no credentials, no mail address, and no word of the name of whoever gets the mail."""
    if not _LINK.fullmatch(url):
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    spoken = unquote_plus(unquote_plus(f"{parts.path}?{parts.query}#{parts.fragment}")).casefold()
    words = set(re.findall(r"\w+", spoken))
    names = set(re.findall(r"\w+", name.casefold()))
    named = any(len(word) > 2 for word in words & names) or (names and names <= words)
    if not parts.hostname or "@" in parts.netloc or "@" in spoken or named:
        return ""
    return url
