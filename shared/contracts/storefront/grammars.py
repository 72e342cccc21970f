"""The small grammars of the storefront's contract: times, addresses of mail, language tags, base64, trace contexts.

Each function takes a text and gives what it says, or None where it is not of the grammar. None of them raises, does I/O or
keeps anything.
"""

from __future__ import annotations

import binascii
import ipaddress
import re
from datetime import UTC, datetime, timedelta
from typing import Final

ID: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}", re.ASCII)
"""`id`, `customer_id`, `payment.reference`, `request_id`, `key_id`."""
ORDER_NUMBER: Final = re.compile(r"[A-Za-z0-9._~-]{1,64}", re.ASCII)

SEALED_BOX_OVERHEAD_BYTES: Final = 48
"""libsodium's `crypto_box_SEALBYTES`: an ephemeral public key (32) and an authenticator (16)."""
PUBLIC_KEY_BYTES: Final = 32
"""The length of an X25519 public key (RFC 7748)."""

_COUNTRIES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC "
    "CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD "
    "GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH "
    "KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW "
    "MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC "
    "SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY "
    "UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"
)
COUNTRIES: Final = frozenset(_COUNTRIES.split())
"""The officially assigned codes of ISO 3166-1 alpha-2."""

_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:)([0-9]{2})(\.[0-9]+)?([Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])",
    re.ASCII,
)
_LAST_MINUTE = timedelta(hours=23, minutes=59)


def read_time(text: str) -> datetime | None:
    """Read an RFC 3339 time-stamp with its zone as an aware datetime in UTC; fractions beyond microseconds are cut.

    A leap second (RFC 3339, 5.6: only 23:59:60 UTC) is read as the second after it, for no datetime can hold it.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    day, minute, second, fraction, zone = match.groups()
    leap = second == "60"
    try:
        time = datetime.fromisoformat(f"{day}T{minute}{'59' if leap else second}{(fraction or '')[:7]}{zone.upper()}").astimezone(
            UTC
        )
        if not leap:
            return time
        since_midnight = timedelta(hours=time.hour, minutes=time.minute)
        return time.replace(microsecond=0) + timedelta(seconds=1) if since_midnight == _LAST_MINUTE else None
    except (ValueError, OverflowError):  # no such day, or a zone that leads out of the calendar
        return None


_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


def read_traceparent(value: object) -> str | None:
    """The trace context where it is a valid `traceparent` (W3C Trace Context, level 1); any other is ignored, never refused."""
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else None


_MEDIA_TYPE = re.compile(r'([^;\s]+)(?:\s*;\s*charset\s*=\s*"?utf-?8"?)?\s*;?\s*', re.ASCII | re.IGNORECASE)


def media_type(text: str) -> str | None:
    """The media type in lower case where its only parameter is, at most, a `charset` of UTF-8."""
    match = _MEDIA_TYPE.fullmatch(text)
    return match[1].lower() if match else None


_TO_STANDARD = str.maketrans("-_", "+/")


def read_base64(text: str) -> bytes | None:
    """Read base64 by RFC 4648 section 4 with padding, or the URL-safe form (section 5) with or without it.

    Without padding, because that is what `libsodium-wrappers` makes of a box unless told otherwise.
    """
    if "-" in text or "_" in text:
        if "+" in text or "/" in text:
            return None
        text = text.translate(_TO_STANDARD) + "=" * (-len(text) % 4)
    elif len(text) % 4 and "+" not in text and "/" not in text:
        text += "=" * (-len(text) % 4)
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # binascii.Error, or a character beyond ASCII
        return None


# Beyond ASCII everything goes (RFC 6531, 3.3) but what a mail program may take for a line's end or a gap.
_BEYOND_ASCII = r"[^\x00-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f-\u2069\u3000\ud800-\udfff\ufeff]"
_ATOM = rf"(?:[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]|{_BEYOND_ASCII})+"
_QUOTED = rf'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e]|{_BEYOND_ASCII})*"'
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*|{_QUOTED}")
_LABEL = rf"(?:[A-Za-z0-9]|{_BEYOND_ASCII})(?:(?:[A-Za-z0-9-]|{_BEYOND_ASCII})*(?:[A-Za-z0-9]|{_BEYOND_ASCII}))?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_GENERAL_LITERAL = re.compile(r"[A-Za-z0-9-]*[A-Za-z0-9]:[\x21-\x5a\x5e-\x7e]+", re.ASCII)
_MAX_EMAIL_BYTES, _MAX_LOCAL_PART_BYTES, _MAX_LABEL_BYTES = 254, 64, 63


def is_email(text: str) -> bool:
    """Whether the text is a mailbox by RFC 5321 (4.1.2, with the lengths of 4.5.3.1) with RFC 6531.

    Only the grammar is asked, not whether the mailbox is there. Quoted local parts, address literals, single labels and
    special-use domains are mailboxes; display names and comments are not.
    """
    if _bytes(text) > _MAX_EMAIL_BYTES:
        return False
    local_part, at, domain = text.rpartition("@")
    if not at or _bytes(local_part) > _MAX_LOCAL_PART_BYTES or _LOCAL_PART.fullmatch(local_part) is None:
        return False
    if domain.startswith("[") and domain.endswith("]"):
        return _is_address_literal(domain[1:-1])
    return _DOMAIN.fullmatch(domain) is not None and all(_label_bytes(label) <= _MAX_LABEL_BYTES for label in domain.split("."))


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _is_address_literal(text: str) -> bool:
    try:
        if text[:5].lower() == "ipv6:":
            return "%" not in text and ipaddress.IPv6Address(text[5:]) is not None
        if ":" in text:
            return _GENERAL_LITERAL.fullmatch(text) is not None
        return ipaddress.IPv4Address(text) is not None
    except ValueError:
        return False


def _label_bytes(label: str) -> int:
    """The label's length in the name system, where what is beyond ASCII travels as `xn--` and punycode (RFC 5890, 2.3.2.1)."""
    return len(label) if label.isascii() else len("xn--") + len(label.encode("punycode"))


_GRANDFATHERED = (
    "en-GB-oed|i-ami|i-bnn|i-default|i-enochian|i-hak|i-klingon|i-lux|i-mingo|i-navajo|i-pwn|i-tao|i-tay|i-tsu|sgn-BE-FR|sgn-BE-NL|"
    "sgn-CH-DE|art-lojban|cel-gaulish|no-bok|no-nyn|zh-guoyu|zh-hakka|zh-min|zh-min-nan|zh-xiang"
)
_LANGUAGE_TAG = re.compile(
    rf"""
      (?:[a-z]{{2,3}}(?:-[a-z]{{3}}){{0,3}}|[a-z]{{4}}|[a-z]{{5,8}})   # language, extended language
      (?:-[a-z]{{4}})?                                                 # script
      (?:-(?:[a-z]{{2}}|[0-9]{{3}}))?                                  # region
      (?:-(?:[a-z0-9]{{5,8}}|[0-9][a-z0-9]{{3}}))*                     # variants
      (?:-[0-9a-wy-z](?:-[a-z0-9]{{2,8}})+)*                           # extensions
      (?:-x(?:-[a-z0-9]{{1,8}})+)?                                     # private use
    | x(?:-[a-z0-9]{{1,8}})+
    | {_GRANDFATHERED}
    """,
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)


def is_language_tag(text: str) -> bool:
    """Whether the text is well formed by BCP 47 (the grammar of RFC 5646, 2.1; the subtag registry is not asked)."""
    return _LANGUAGE_TAG.fullmatch(text) is not None
