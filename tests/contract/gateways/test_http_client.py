"""The HTTP client against a stub: what it repeats, what it raises, and what it never tells."""

from __future__ import annotations

import logging
import socket
from typing import Any

import pytest

from shared.contracts.errors import Parked, TryLater, Unanswered
from shared.http_client import HttpClient

DO, LOOK = "POST /things", "GET /things"


def test_an_answer_is_whole(stub: Any, http: Any) -> None:
    stub.on(DO, (201, {"done": True}, {"X-Thing": "7"}))
    answer = http().call("POST", "/things", json={"a": "ü"}, query={"q": "a b"}, expected={201}, repeatable=False)
    assert (answer.status, answer.json(), answer.headers["x-thing"]) == (201, {"done": True}, "7")
    sent = stub.asked[0]
    assert (sent.json, sent.query, sent.headers["Content-Type"]) == ({"a": "ü"}, {"q": "a b"}, "application/json")


@pytest.mark.parametrize("trouble", ["lost", (500, {}), (503, {}), (504, {}), (429, {})])
def test_what_is_safe_to_repeat_is_repeated(stub: Any, http: Any, trouble: Any) -> None:
    stub.on(DO, trouble, trouble, (200, {}))
    assert http().call("POST", "/things", repeatable=True).status == 200
    stub.asked.clear()
    stub.on(DO, trouble)
    with pytest.raises(TryLater):
        http().call("POST", "/things", repeatable=True)
    assert len(stub.asked) == 3


@pytest.mark.parametrize("trouble", ["lost", (500, {}), (502, {}), (504, {})])
def test_what_is_not_safe_to_repeat_is_sent_once_and_left_in_doubt(stub: Any, http: Any, trouble: Any) -> None:
    stub.on(DO, trouble)
    with pytest.raises(Unanswered):
        http().call("POST", "/things", repeatable=False)
    assert len(stub.asked) == 1


def test_a_doubt_of_an_early_try_is_not_forgotten(stub: Any, http: Any) -> None:
    stub.on(DO, "lost", (429, {}))
    with pytest.raises(Unanswered, match="party_busy"):
        http().call("POST", "/things", repeatable=True)


@pytest.mark.parametrize(("method", "harmless"), [("GET", None), ("POST", True)])
def test_the_loss_of_a_harmless_call_leaves_no_doubt(stub: Any, http: Any, method: str, harmless: Any) -> None:
    stub.on(f"{method} /things", "lost")
    with pytest.raises(TryLater) as raised:
        http().call(method, "/things", repeatable=True, harmless=harmless)
    assert type(raised.value) is TryLater


def test_a_party_that_was_never_reached_leaves_no_doubt() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    client = HttpClient(f"http://127.0.0.1:{port}", longest_pause_seconds=0.0)
    with pytest.raises(TryLater, match="party_unreachable") as raised:
        client.call("POST", "/things", repeatable=False)
    assert type(raised.value) is TryLater


def test_an_answer_that_does_not_come_leaves_doubt() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = HttpClient(f"http://127.0.0.1:{server.getsockname()[1]}", timeout_seconds=(1, 0.02))
        with pytest.raises(Unanswered, match="party_timed_out"):
            client.call("POST", "/things", repeatable=False)
        client.close()


def test_a_party_that_cannot_speak_tls_is_told_nothing(stub: Any, http: Any) -> None:
    client = HttpClient(stub.url.replace("http://", "https://"), timeout_seconds=(1, 1), longest_pause_seconds=0.0)
    with pytest.raises(TryLater):
        client.call("GET", "/things", repeatable=False)
    assert not stub.asks(LOOK)


def test_redirects_are_not_followed_and_proxies_not_asked(stub: Any, http: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    stub.on(LOOK, (302, {}, {"Location": f"{stub.url}/elsewhere"}))
    with pytest.raises(Parked, match="unexpected_status_302"):
        http().call("GET", "/things", repeatable=True)
    assert len(stub.asked) == 1


def test_connections_are_kept(stub: Any, http: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.on(LOOK, (200, {}))
    client = http()
    client.call("GET", "/things", repeatable=True)
    monkeypatch.setattr(socket, "getaddrinfo", None)  # whoever connects anew fails
    client.call("GET", "/things", repeatable=True)
    assert len(stub.asked) == 2


def test_nothing_of_the_request_is_told(stub: Any, http: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stub.on(DO, (500, {"message": "ana@example.com"}))
    with pytest.raises(TryLater) as raised:
        http().call("POST", "/things", query={"who": "ana"}, json={"email": "ana@example.com"}, repeatable=True)
    assert raised.value.__cause__ is None
    assert "127.0.0.1" in caplog.text
    told = caplog.text + repr(raised.value) + repr(raised.value.__context__)
    assert "ana" not in told
    assert "/things" not in told
