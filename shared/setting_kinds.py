"""Kinds of settings that refuse what is none of them, each with a sentence that says what is wanted and never what was given."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

from psycopg import conninfo
from psycopg import errors as psycopg_errors
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from shared.contracts.storefront.grammars import COUNTRIES
from shared.lines import is_here, is_protected

WANTED = "wanted"  # the type of an error whose message may be shown


def _kind(wanted: str, is_one: Callable[[str], object]) -> AfterValidator:
    def check(value: Any) -> Any:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        try:
            fits = is_one(text)
        except ValueError:
            fits = False
        if not fits:
            raise PydanticCustomError(WANTED, wanted)
        return value

    return AfterValidator(check)


def _has_address(text: str, schemes: tuple[str, ...], *, may_have_path: bool = True) -> bool:
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError where it is no number, as after an unescaped slash in a password
    host = parts.hostname or ""
    return parts.scheme in schemes and host != "" and "," not in host and (may_have_path or parts.path in ("", "/"))


def _is_postgres(text: str) -> bool:
    try:
        return text.startswith(("postgresql://", "postgres://")) and bool(conninfo.conninfo_to_dict(text))
    except psycopg_errors.Error:
        return False


def _is_broker(text: str) -> bool:
    """`cacertfile` is RabbitMQ's own name for it in an address; nothing else may stand there, such as not to check."""
    parts = urlsplit(text)
    said = parse_qsl(parts.query, keep_blank_values=True)
    has_authorities = parts.scheme == "amqps" and [name for name, _ in said] == ["cacertfile"] and Path(said[0][1]).is_file()
    return _has_address(text, ("amqp", "amqps")) and not parts.fragment and (not parts.query or has_authorities)


def _are_brokers(text: str) -> bool:
    addresses = text.split(";")
    return all(_is_broker(address) for address in addresses) and len({urlsplit(address).query for address in addresses}) == 1


def _is_listening_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    # Our doors speak plain HTTP: elsewhere than on this machine a proxy speaks for them. Port 0 is any that is free.
    return bool(host) and is_here(host.strip("[]")) and port.isdecimal() and int(port) < 65536


def _is_party(text: str) -> bool:
    parts = urlsplit(text)
    return _has_address(text, ("http", "https")) and not (parts.query or parts.fragment or parts.username)


_PROTECTED = _kind(
    "wanted: an encrypted line, or one that stays on this machine: amqps://, sslmode=verify-full, https://, smtps:// or smtp+starttls://",
    is_protected,
)
AmqpUri = Annotated[
    str,
    _kind(
        "wanted: amqps://user:password@host:5671/vhost?cacertfile=FILE (a file that can be read), or amqp:// on this machine; of a cluster"
        " several, a semicolon between them, with the same file",
        _are_brokers,
    ),
    _PROTECTED,
]
PostgresUrl = Annotated[
    str,
    _kind("wanted: postgresql://user:password@host:5432/database; of several servers host:5432,host:5432", _is_postgres),
    _PROTECTED,
]
PartyUrl = Annotated[
    str, _kind("wanted: https://host[:port][/path] without credentials, query or fragment", _is_party), _PROTECTED
]
SmtpUrl = Annotated[
    SecretStr,
    _kind(
        "wanted: smtps:// or smtp+starttls://[user:password@]host[:port], credentials percent-encoded; smtp:// on this machine",
        lambda t: _has_address(t, ("smtp", "smtps", "smtp+starttls"), may_have_path=False),
    ),
    _PROTECTED,
]
ListeningAddress = Annotated[
    str, _kind("wanted: host:port of this machine, e.g. 127.0.0.1:8001; a proxy before it speaks HTTPS", _is_listening_address)
]
LogLevel = Annotated[
    str, _kind("wanted: DEBUG, INFO, WARNING or ERROR", lambda t: t in logging.getLevelNamesMapping() and t != "NOTSET")
]
Text = Annotated[str, _kind("must not be empty", lambda t: t.strip())]
Secret = Annotated[SecretStr, _kind("must not be empty", lambda t: t.strip())]
Token = Annotated[str, _kind("wanted: at least 16 characters without blanks", lambda t: re.fullmatch(r"[!-~]{16,}", t))]
Country = Annotated[str, _kind("wanted: a country code of ISO 3166-1 alpha-2", lambda t: t in COUNTRIES)]
ReadableFile = Annotated[str, _kind("wanted: a file that can be read", lambda t: Path(t).is_file())]
ReadableFolder = Annotated[str, _kind("wanted: a folder that can be read", lambda t: Path(t).is_dir())]

AuthoritiesFile = Annotated[
    str | None,
    BeforeValidator(lambda value: value or None),
    _kind(
        "wanted: a file of certificate authorities that can be read, or nothing for the usual ones",
        lambda t: t is None or Path(t).is_file(),
    ),
]


def _bare_address(value: object) -> object:
    """`Name <address>` is taken too."""
    return parseaddr(value)[1] if isinstance(value, str) else value


MailAddress = Annotated[
    str, BeforeValidator(_bare_address), _kind("wanted: an e-mail address", lambda t: re.fullmatch(r"[^\s<>@]+@[^\s<>@]+", t))
]


def _names(value: object) -> object:
    return frozenset(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


def _mapping(value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs = (pair.partition("=") for pair in value.split(",") if pair.strip())
    return {key.strip(): (word.strip() or key.strip()) for key, _, word in pairs}


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"([a-z_]+)=([1-9][0-9]{0,4})([smhd])")


def _durations(value: object) -> object:
    if not isinstance(value, str):
        return value
    found: dict[str, timedelta] = {}
    for pair in filter(None, (pair.strip() for pair in value.split(","))):
        match = _DURATION.fullmatch(pair)
        if match is None or match[1] in found:
            raise PydanticCustomError(
                WANTED,
                "wanted: name=duration, comma-separated, each name once; a duration is a number with s, m, h or d: a=90s,b=2d",
            )
        found[match[1]] = timedelta(**{_UNITS[match[3]]: int(match[2])})
    return found


_COUNT = re.compile(r"([a-z_]+)=([0-9]{1,6})")


def _counts(value: object) -> object:
    if not isinstance(value, str):
        return value
    matches = [_COUNT.fullmatch(pair.strip()) for pair in value.split(",") if pair.strip()]
    found = {match[1]: int(match[2]) for match in matches if match is not None}
    if len(found) != len(matches):  # one is none of it, or a name stands there twice
        raise PydanticCustomError(WANTED, "wanted: name=number, comma-separated, each name once: a=30,b=60")
    return found


def named_among(names: Iterable[str]) -> AfterValidator:
    """Refuses a mapping that names anything else; the sentence tells the names that there are."""
    known = frozenset(names)

    def check(value: dict[str, Any]) -> dict[str, Any]:
        if not value.keys() <= known:
            raise PydanticCustomError(WANTED, f"wanted: no other names than {', '.join(sorted(known))}")
        return value

    return AfterValidator(check)


Names = Annotated[frozenset[str], NoDecode, BeforeValidator(_names), Field(min_length=1)]
"""A comma-separated list, at least one name."""

NamesOrNone = Annotated[frozenset[str], NoDecode, BeforeValidator(_names)]
"""A comma-separated list, which may be empty."""

Sources = Annotated[
    Names,
    _kind(
        "wanted: URIs, comma-separated", lambda names: all(urlsplit(name).scheme and not re.search(r"\s", name) for name in names)
    ),
]
Mapping = Annotated[dict[str, str], NoDecode, BeforeValidator(_mapping), Field(min_length=1)]
"""`a=b,c=d`, at least one pair; a bare `a` maps to itself."""
Durations = Annotated[dict[str, timedelta], NoDecode, BeforeValidator(_durations)]
"""`a=90s,b=2d`: lengths of time by name, above zero; may be empty."""
Counts = Annotated[dict[str, int], NoDecode, BeforeValidator(_counts)]
"""`a=30,b=60`: whole numbers by name; may be empty."""
