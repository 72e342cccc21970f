"""Every outside party behind TLS, as the services make their clients from their settings: who is not trusted is sent nothing."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.local.certificates import Authority
from services.notifications.mailing import _mailbox
from services.payments.gateway import AuthorisePayment, CapturePayment
from services.payments.service import _providers
from services.shipping.gateway import BuyLabel
from services.shipping.service import _carrier
from shared import http_client
from shared.contracts.errors import BrownPaperError, TryLater
from shared.custody.transit import open_master

ROOT = Path(__file__).parents[3]
SHOP = "https://shop.example"
ADDRESS = SimpleNamespace(line1="12 Larimer St", line2=None, city="Denver", region="CO", postal_code="80202", country="US")
BILLING = SimpleNamespace(given_name="Ana", family_name="Müller", email="ana@example.com", address=ADDRESS, tax_id=None)
RECIPIENT = SimpleNamespace(name="Ana Müller", address=ADDRESS)


@dataclass
class Party:
    """Somebody who speaks HTTPS on loopback, and SMTP's first words to whoever asks for them; `asked` is what got through to it."""

    port: int
    asked: list[str] = field(default_factory=list)


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[Party]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            party.asked.append(f"{self.command} {self.path}")
            self.send_response(404)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            request.settimeout(10)
            try:
                wrapped = context.wrap_socket(request, server_side=True)
            except (ssl.SSLError, OSError):
                return  # it was not trusted
            super().finish_request(wrapped, client_address)

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    party = Party(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield party
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def party(authority: Authority) -> Iterator[Party]:
    issued = authority.issue("party", ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    with listening(context) as it:
        yield it


def _payments(url: str, ca_file: Path | None) -> Any:
    return SimpleNamespace(
        calls_in_flight=2,
        party_timeout_seconds=5.0,
        paypal_base_url=url,
        paypal_ca_file=ca_file and str(ca_file),
        paypal_client_id="client",
        paypal_client_secret=SimpleNamespace(get_secret_value=lambda: "secret"),
        twocheckout_base_url=url,
        twocheckout_idn_url=url,
        twocheckout_ca_file=ca_file and str(ca_file),
        twocheckout_merchant_code="CODE",
        twocheckout_secret_key=SimpleNamespace(get_secret_value=lambda: "key"),
        twocheckout_return_url=SHOP,
        twocheckout_cancel_url=SHOP,
        twocheckout_payment_type="TEST",
    )


def ask_paypal(url: str, ca_file: Path | None, _folder: Path) -> None:
    ask = AuthorisePayment(SHOP, "AJ-1", "USD", 18765, "paypal", "5O190127TN364715T", "authorise-AJ-1", None)
    _providers(_payments(url, ca_file))["paypal"].authorise(ask, in_doubt=False)


def ask_twocheckout(url: str, ca_file: Path | None, _folder: Path) -> None:
    ask = AuthorisePayment(SHOP, "AJ-1", "USD", 18765, "2checkout", "cdefa07d-0595-4469", "authorise-AJ-1", BILLING)
    _providers(_payments(url, ca_file))["2checkout"].authorise(ask, in_doubt=False)


def tell_twocheckout_of_a_delivery(url: str, ca_file: Path | None, _folder: Path) -> None:
    ask = CapturePayment(SHOP, "AJ-1", "USD", 18765, "2checkout", "147288494", "capture-AJ-1")
    _providers(_payments(url, ca_file))["2checkout"].capture(ask, in_doubt=False)


def ask_the_carrier(url: str, ca_file: Path | None, _folder: Path) -> None:
    names = ("name", "phone", "line1", "city", "region", "postal_code", "country", "company")
    settings: Any = SimpleNamespace(
        carrier_base_url=url,
        carrier_ca_file=ca_file and str(ca_file),
        carrier_api_key=SimpleNamespace(get_secret_value=lambda: "key"),
        carrier_id="se-1",
        party_timeout_seconds=5.0,
        calls_in_flight=2,
        **{f"ship_from_{name}": "x" for name in names},
    )
    _carrier(settings).buy_label(BuyLabel("parcel-1", "ups_ground", 340, 205, 150, 60, RECIPIENT), in_doubt=False)


def ask_the_vault(url: str, ca_file: Path | None, folder: Path) -> None:
    token = folder / "token"
    token.write_text("hvs.stand-in")
    settings = SimpleNamespace(
        keyring_master="vault",
        keyring_master_key_file=None,
        keyring_vault_url=url,
        keyring_vault_key="shipping",
        keyring_vault_mount="transit",
        keyring_vault_token_file=str(token),
        keyring_vault_ca_file=ca_file and str(ca_file),
    )
    open_master(settings).current_id()


def hand_over_a_mail(url: str, ca_file: Path | None, _folder: Path) -> None:
    address = url.replace("https://", "smtps://")
    settings: Any = SimpleNamespace(
        smtp_url=SimpleNamespace(get_secret_value=lambda: address.replace("://", "://user:secret@")),
        smtp_ca_file=ca_file and str(ca_file),
        smtp_timeout_seconds=2.0,
        calls_in_flight=1,
    )
    _mailbox(settings).send("shop@shop.example", "ana@post.example", b"Subject: x\r\n\r\nx\r\n", smtputf8=False)


Call = Callable[[str, Path | None, Path], None]
CALLS: list[Call] = [
    ask_paypal,
    ask_twocheckout,
    tell_twocheckout_of_a_delivery,
    ask_the_carrier,
    ask_the_vault,
    hand_over_a_mail,
]


def refusal(call: Call, party: Party, url: str, ca_file: Path | None, folder: Path) -> str:
    """The code with which a call is put off; AssertionError where it was not, or where anything got through."""
    with pytest.raises(TryLater) as put_off:
        call(url, ca_file, folder)
    assert party.asked == []
    shown = repr(put_off.value) + str(put_off.value.__cause__)
    assert not [word for word in ("secret", "Ana", "hvs.", "ana@") if word in shown]
    return put_off.value.code


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", ["another authority", "no authority of ours", "another host's name"])
def test_who_is_not_trusted_is_sent_nothing(
    call: Call, fault: str, party: Party, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    ca_file = {"another authority": stranger.file, "another host's name": authority.file}.get(fault)
    host = "localhost" if fault == "another host's name" else "127.0.0.1"
    assert refusal(call, party, f"https://{host}:{party.port}", ca_file, tmp_path) == "party_untrusted"


@pytest.mark.parametrize("call", [call for call in CALLS if call is not hand_over_a_mail])
def test_who_is_trusted_is_asked(call: Call, party: Party, authority: Authority, tmp_path: Path) -> None:
    with suppress(BrownPaperError):  # it is none of them, and says 404 to everything
        call(f"https://127.0.0.1:{party.port}", authority.file, tmp_path)
    assert party.asked


@pytest.mark.parametrize("call", [call for call in CALLS if call is not hand_over_a_mail])
def test_a_client_that_does_not_look_is_red(
    call: Call, party: Party, stranger: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = http_client.HTTPAdapter.send
    monkeypatch.setattr(http_client.HTTPAdapter, "send", lambda *args, **named: plain(*args, **{**named, "verify": False}))
    monkeypatch.setattr("warnings.warn", lambda *_args, **_named: None)
    with pytest.raises((AssertionError, BrownPaperError, pytest.fail.Exception)):
        refusal(call, party, f"https://127.0.0.1:{party.port}", stranger.file, tmp_path)
    assert party.asked


@pytest.fixture(params=["--implicit-tls", "STARTTLS"])
def mail_server(request: pytest.FixtureRequest, authority: Authority, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The sandbox's mailbox with the authority's certificate; the addresses it tells."""
    issued = authority.issue("mail", ["127.0.0.1"])
    command = [sys.executable, "-m", "deploy.sandbox", "mailbox", "--books", str(tmp_path / "books"), "--user", "user"]
    command += ["--password", "secret", "--tls-cert", str(issued.certificate), "--tls-key", str(issued.key)]
    command += [request.param] if request.param.startswith("--") else []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            told: dict[str, str] = json.loads(program.stdout.readline())
            yield told
        finally:
            program.terminate()


def mails(told: dict[str, str]) -> int:
    with urllib.request.urlopen(f"{told['url']}/_books/summary", timeout=10) as answer:
        return int(json.load(answer)["mails"])


def test_a_mail_goes_to_the_trusted_server_alone(
    mail_server: dict[str, str], authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    url = mail_server["smtp_url"]
    for ca_file, address in (
        (stranger.file, url),
        (None, url),
        (authority.file, url.replace("127.0.0.1", "localhost")),
    ):
        with pytest.raises(TryLater, match="party_untrusted"):
            hand_over_a_mail(address, ca_file, tmp_path)
    assert mails(mail_server) == 0
    hand_over_a_mail(url, authority.file, tmp_path)
    assert mails(mail_server) == 1


_OLD_TLS = """
import socket, ssl, sys, warnings
warnings.simplefilter('ignore')
from shared.broker_address import connection_to
from shared.http_client import HttpClient
from services.notifications.gateway import Mailbox

port, ca = int(sys.argv[1]), sys.argv[2]

def bare():
    context = ssl.create_default_context(cafile=ca)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as line:
            assert line.version() == "TLSv1.1"

for name, ask in {
    "bare": bare,
    "http": lambda: HttpClient(f"https://127.0.0.1:{port}", ca_file=ca, tries=1).call("GET", "/", expected=(404,), repeatable=True),
    "smtp": lambda: Mailbox(f"smtps://127.0.0.1:{port}", ca_file=ca, timeout_seconds=(2, 2)).send("a@b.c", "d@e.f", b"x", smtputf8=False),
    "amqp": lambda: connection_to(f"amqps://127.0.0.1:{port}/v?cacertfile={ca}", connect_timeout=2).connect(),
}.items():
    try:
        ask()
        print(name, "spoken")
    except Exception as error:
        print(name, "refused")
        print(name, repr(error), file=sys.stderr)
"""


def test_nothing_older_than_tls_1_2_is_spoken(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue("old", ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is old is the point
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    # A machine whose OpenSSL would speak it: what refuses is our clients.
    lenient = tmp_path / "openssl.cnf"
    lenient.write_text(
        "openssl_conf = o\n[o]\nssl_conf = s\n[s]\nsystem_default = d\n[d]\nMinProtocol = TLSv1\nCipherString = ALL:@SECLEVEL=0\n"
    )
    with listening(context) as party:
        done = subprocess.run(
            [sys.executable, "-c", _OLD_TLS, str(party.port), str(authority.file)],
            cwd=ROOT,
            env={"PATH": "", "OPENSSL_CONF": str(lenient)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.split("\n")[:-1] == ["bare spoken", "http refused", "smtp refused", "amqp refused"], done.stderr
        assert party.asked == []
