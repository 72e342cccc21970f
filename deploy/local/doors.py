"""What the services' HTTP doors say of themselves, asked by whoever starts them. Addresses are `host:port`; all are safe to repeat."""

from __future__ import annotations

import http.client
import json
from collections.abc import Collection
from urllib.parse import urlsplit

_TIMEOUT_SECONDS = 5


def is_ready(address: str) -> bool:
    """Whether the service there says that it is ready."""
    return _read(address, "/ready") is not None


def shows_keys_of(address: str, services: Collection[str]) -> bool:
    """Whether orders, which is there, shows a sealing key of each of these services: before that, no storefront can seal an order."""
    body = _read(address, "/keys")
    return body is not None and {key["service"] for key in json.loads(body)} >= set(services)


def _read(address: str, path: str) -> bytes | None:
    host = urlsplit(f"//{address}")
    connection = http.client.HTTPConnection(host.hostname or "127.0.0.1", host.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read() if response.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
