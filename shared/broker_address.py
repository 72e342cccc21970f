"""How a broker's address becomes a connection: `amqp://…`, or `amqps://…[?cacertfile=FILE]` with everything checked.

`cacertfile` is RabbitMQ's own name for the authorities' file in an address; without it the machine's usual authorities count. The
certificate must be of the host that was asked for, and nothing older than TLS 1.2 is spoken: no setting turns that off.
"""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kombu
import kombu.transport
from kombu.exceptions import OperationalError
from kombu.transport.pyamqp import SSLTransport


class CheckedTransport(SSLTransport):
    """py-amqp over TLS, spelled out: of itself it neither asks for a certificate's name nor looks whose authority signed it."""

    def establish_connection(self) -> Any:
        host = self.client.hostname
        self.client.ssl = {
            "cert_reqs": ssl.CERT_REQUIRED,
            "ca_certs": self.client.ssl.get("ca_certs") if isinstance(self.client.ssl, dict) else None,
            "server_hostname": host,
            "tls_minimum_version": ssl.TLSVersion.TLSv1_2,
        }
        try:
            return super().establish_connection()
        finally:
            self.client.hostname = host  # kombu makes 127.0.0.1 of localhost, and the next time would ask for that name


# Every `amqps://` of this process, whoever opens it.
kombu.transport.TRANSPORT_ALIASES["amqps"] = f"{__name__}:{CheckedTransport.__name__}"


def connection_to(addresses: str, **options: Any) -> Any:
    """A kombu.Connection to one of the addresses (semicolons between them), opened when it is first used; `options` are kombu's.

    The authorities' file is the same for all addresses.
    """
    parts = [urlsplit(address) for address in addresses.split(";")]
    if authorities := [file for it in parts for file in parse_qs(it.query).get("cacertfile", ())]:
        options["ssl"] = {"ca_certs": authorities[0]}
    return kombu.Connection(";".join(it._replace(query="").geturl() for it in parts), **options)


class BrokerUntrusted(OSError):
    """The broker's certificate is of no authority that counts, of another host, or out of its time.

    A broken connection like others: nothing was sent, not even a password, and a certificate that is renewed heals it.
    """

    def __init__(self) -> None:
        super().__init__("broker_untrusted: the certificate of the broker is not trusted (authority, name or date)")


def open_patiently(connection: Any, **patience: Any) -> None:
    """Open it, trying again as kombu's `patience` says (`max_retries` …); a certificate that is not trusted is not tried again.

    Raises BrokerUntrusted, and what kombu raises.
    """
    try:
        connection.ensure_connection(errback=_refuse_untrusted, **patience)
    except (OSError, OperationalError) as error:
        _refuse_untrusted(error)
        raise


def _refuse_untrusted(error: BaseException, _again_in_seconds: float = 0) -> None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise BrokerUntrusted from None
        cause = cause.__cause__ or cause.__context__
