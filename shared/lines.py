"""Which addresses are lines that may be used: encrypted and checked against an authority, or never leaving this machine (clause 44).

Names alone decide, nothing is looked up: `localhost` and loopback's own numbers are this machine, every other name is elsewhere.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

_ENCRYPTED: Final = frozenset({"https", "amqps", "smtps", "smtp+starttls"})
_TOO_OLD: Final = frozenset({"TLSv1", "TLSv1.1"})  # libpq's names


def is_protected(addresses: str) -> bool:
    """Whether every address of a setting is a line that may be used: a cluster's are parted by semicolons, its hosts by commas.

    Of PostgreSQL's only `sslmode=verify-full` counts: every weaker mode talks to whoever answers. False for what is no address.
    """
    try:
        return all(_is_protected(urlsplit(address)) for address in addresses.split(";"))
    except ValueError:
        return False


def is_here(host: str | None) -> bool:
    """Whether a host's name or number is this machine's own; a socket's path is, and so is no name at all."""
    if not host or host == "localhost" or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_protected(line: SplitResult) -> bool:
    if line.scheme.startswith("postgres"):
        return _is_verified(line) or ("service" not in _query(line) and all(is_here(host) for host in _hosts(line)))
    return line.scheme in _ENCRYPTED or all(is_here(host) for host in _hosts(line))


def _is_verified(line: SplitResult) -> bool:
    said = _query(line)
    return said.get("sslmode") == ["verify-full"] and _TOO_OLD.isdisjoint(said.get("ssl_min_protocol_version", ()))


def _hosts(line: SplitResult) -> Iterator[str | None]:
    for host in line.netloc.rpartition("@")[2].split(","):
        # A socket's path stands percent-encoded where the host is.
        yield unquote(host) if host.lower().startswith("%2f") else urlsplit(f"//{host}").hostname
    if line.scheme.startswith("postgres"):
        for name in ("host", "hostaddr"):  # where libpq finds them too, and prefers them
            for hosts in _query(line).get(name, ()):
                yield from hosts.split(",")


def _query(line: SplitResult) -> dict[str, list[str]]:
    return parse_qs(line.query, keep_blank_values=True)
