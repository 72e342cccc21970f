"""The proxy before our own doors, with deploy/proxy/Caddyfile as it is: HTTPS only, the public doors and no other, nothing too large."""

from __future__ import annotations

import http.client
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.local.certificates import Authority
from deploy.local.processes import free_ports, port_is_free
from tests.integration.facts import wait_for

ROOT = Path(__file__).resolve().parents[2]
CADDY = shutil.which("caddy")
CONFIGURATION = ("--config", str(ROOT / "deploy" / "proxy" / "Caddyfile"), "--adapter", "caddyfile")
LARGEST = 512 * 1024  # the contract's largest event
pytestmark = pytest.mark.skipif(CADDY is None, reason="caddy is not on this machine")


@dataclass
class Doors:
    """A proxy before two stand-ins for the services; `asked` is what got through."""

    http_port: int
    https_port: int
    context: ssl.SSLContext
    authority: Authority
    environment: dict[str, str]
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, body: bytes = b"", *, port: int = 0, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection("localhost", port or self.https_port, timeout=10, context=self.context)
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    if not all(port_is_free(port) for port in (8441, 8442, 8443, 8444)):
        pytest.skip("the inner ports of the proxy are taken on this machine")
    folder = tmp_path_factory.mktemp("proxy")
    authority = Authority(folder)
    issued = authority.issue("proxy", ["localhost"])
    http_port, https_port = free_ports(2)
    it = Doors(http_port, https_port, ssl.create_default_context(cafile=str(authority.file)), authority, {})

    def stand_in(name: str) -> ThreadingHTTPServer:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # broken off: a door would not have it either
                it.asked.append((name, f"{self.command} {self.path}", len(body)))
                it.headers.extend(self.headers)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    servers = {name: stand_in(name) for name in ("orders", "payments", "shipping", "notifications")}
    it.environment |= {
        "HOME": str(folder),
        "PROXY_ADMIN": str(folder / "admin"),
        "PROXY_HTTP_PORT": str(http_port),
        "PROXY_HTTPS_PORT": str(https_port),
        "PROXY_TLS": f"{issued.certificate} {issued.key}",
        **{f"{name.upper()}_DOOR": f"127.0.0.1:{server.server_address[1]}" for name, server in servers.items()},
    }
    log = folder / "caddy.log"
    with log.open("wb") as output:
        command = [str(CADDY), "run", *CONFIGURATION]
        program = subprocess.Popen(command, env=it.environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: program.poll() is not None or not port_is_free(https_port), "the proxy to listen")
        assert program.poll() is None, log.read_text()
        yield it
    finally:
        program.send_signal(signal.SIGTERM)
        program.wait(timeout=20)
        for server in servers.values():
            server.shutdown()
            server.server_close()


@pytest.fixture(autouse=True)
def _nothing_asked_yet(doors: Doors) -> None:
    doors.asked.clear()
    doors.headers.clear()


@pytest.mark.parametrize(
    ("service", "method", "path"),
    [
        ("orders", "POST", "/events"),
        ("orders", "GET", "/keys"),
        ("orders", "GET", "/exports/b1946ac9-2d3f"),
        ("shipping", "POST", "/webhooks/carrier/a-secret"),
    ],
)
def test_the_public_doors_are_reached(doors: Doors, service: str, method: str, path: str) -> None:
    answer = doors.ask(method, path)
    assert answer.status == 200
    assert doors.asked == [(service, f"{method} {path}", 0)]
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "Server" not in answer.headers
    assert "X-Forwarded-For" not in doors.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(
            ("GET", path)
            for path in ("/", "/metrics", "/health", "/ready", "/stuck", "/requests", "/holds", "/orders/AJ-1", "/work")
        ),
        *(("GET", path) for path in ("/certificates/1", "/pick_lists/1.pdf", "/labels/1.pdf", "/exports", "/keys/", "/events")),
        *(
            ("POST", path)
            for path in ("/holds", "/picked", "/packed", "/handed_over", "/keys", "/exports/1", "/webhooks/carrier")
        ),
        *(
            ("GET", path)
            for path in ("/keys/../metrics", "/exports/../metrics", "/exports/%2e%2e/metrics", "/exports/..%2fmetrics")
        ),
        ("GET", "//metrics"),
        ("POST", "/webhooks/carrier/../../picked"),
    ],
)
def test_no_other_door_is(doors: Doors, method: str, path: str) -> None:
    assert doors.ask(method, path).status == 404
    assert doors.asked == []


def test_the_largest_event_passes_and_what_nobody_may_send_does_not(doors: Doors) -> None:
    for length in (LARGEST, LARGEST + 1):  # the second is for the door behind to refuse, with its reason
        assert doors.ask("POST", "/events", b"x" * length).status == 200
        assert doors.asked.pop() == ("orders", "POST /events", length)
    assert doors.ask("POST", "/events", b"x" * (2 * LARGEST + 1)).status in (413, 502)  # by Caddy's release
    assert doors.asked == []


def test_plain_http_is_only_told_where_to_go(doors: Doors) -> None:
    connection = http.client.HTTPConnection("localhost", doors.http_port, timeout=10)
    connection.request("POST", "/events", b"x", {"Authorization": "Bearer x"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, "https://localhost/events")
    assert doors.asked == []


def test_nothing_older_than_tls_1_2_is_spoken(doors: Doors) -> None:
    old = ssl.create_default_context()
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is old is the point
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    connection = http.client.HTTPSConnection("localhost", doors.https_port, timeout=10, context=old)
    with pytest.raises(ssl.SSLError):
        connection.request("GET", "/keys")
    assert doors.ask("GET", "/keys").status == 200


@pytest.mark.parametrize(("port", "service"), [(8441, "orders"), (8442, "payments"), (8443, "shipping"), (8444, "notifications")])
def test_the_inner_doors_are_whole(doors: Doors, port: int, service: str) -> None:
    assert doors.ask("GET", "/metrics", port=port).status == 200
    assert doors.asked == [(service, "GET /metrics", 0)]


@pytest.mark.parametrize("port", [8441, 8442, 8443, 8444])
def test_the_inner_doors_are_not_heard_beyond_loopback(doors: Doors, port: int) -> None:
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", port), 5).close()


def test_a_certificate_is_renewed_while_the_proxy_runs(doors: Doors) -> None:
    def shown() -> str:
        with doors.context.wrap_socket(
            socket.create_connection(("localhost", doors.https_port), 10), server_hostname="localhost"
        ) as line:
            certificate = line.getpeercert()
        assert certificate
        return str(certificate["serialNumber"])

    before = shown()
    (doors.authority.folder / "proxy" / "certificate.pem").unlink()
    doors.authority.issue("proxy", ["localhost"])
    command = [str(CADDY), "reload", "--force", *CONFIGURATION, "--address", f"unix//{doors.environment['PROXY_ADMIN']}"]
    done = subprocess.run(command, env=doors.environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: shown() != before, "another certificate")
    assert doors.ask("GET", "/keys").status == 200
