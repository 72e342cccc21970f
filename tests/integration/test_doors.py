"""What a start waits for at the services' doors: ready, and every sealing key shown. A small server stands in for the door."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.local.doors import is_ready, shows_keys_of
from deploy.local.processes import StartError, free_ports
from deploy.local.stack import Stack

HOLDERS = ("payments", "shipping", "notifications")


class _Door(ThreadingHTTPServer):
    """Answers with what `says` has for a path, (status, value)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.says: dict[str, tuple[int, object]] = {}
        self.address = f"127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, _Door)
        status, value = self.server.says[self.path]
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing to the terminal."""


@pytest.fixture
def door() -> Iterator[_Door]:
    with _Door() as it:
        thread = threading.Thread(target=it.serve_forever, daemon=True)
        thread.start()
        yield it
        it.shutdown()
        thread.join()


def test_ready_is_what_the_door_says(door: _Door) -> None:
    door.says["/ready"] = (503, {"status": "not ready"})
    assert not is_ready(door.address)
    door.says["/ready"] = (200, {"status": "ready"})
    assert is_ready(door.address)


def test_keys_are_shown_when_everybody_who_takes_a_part_in_has_one(door: _Door) -> None:
    door.says["/keys"] = (200, [{"service": service} for service in HOLDERS[:2]])
    assert not shows_keys_of(door.address, HOLDERS)
    door.says["/keys"] = (200, [{"service": service} for service in (*HOLDERS, HOLDERS[0])])
    assert shows_keys_of(door.address, HOLDERS)


def test_a_start_says_so_where_the_keys_do_not_come(door: _Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.local.stack._READY_SECONDS", 0.1)
    (tmp_path / "services.json").write_text(json.dumps({"orders": {"HTTP_ADDRESS": door.address}}))
    door.says["/keys"] = (200, [{"service": service} for service in HOLDERS[:2]])
    with pytest.raises(StartError, match="sealing key of each of"):
        Stack(tmp_path)._wait_keys()


def test_a_door_that_does_not_answer_is_not_ready_and_shows_nothing(door: _Door) -> None:
    nobody = f"127.0.0.1:{free_ports(1)[0]}"
    assert not is_ready(nobody)
    assert not shows_keys_of(nobody, HOLDERS)
