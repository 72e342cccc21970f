"""The parts of the HTTP client that need no network."""

from __future__ import annotations

import pytest

from shared.contracts.errors import Unanswered
from shared.http_client import Answer, HttpClient, retry_after_seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("17", 17.0),
        ("0", 0.0),
        ("999999", 3600.0),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 50.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after_seconds({"Retry-After": value}, clock=lambda: 10.0) == seconds


def test_no_retry_after() -> None:
    assert retry_after_seconds({}) is None


@pytest.mark.parametrize("url", ["ftp://x", "https://", "https://user:secret@x", "https://x/?a=1", "x"])
def test_a_base_url_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="a base URL is"):
        HttpClient(url)


@pytest.mark.parametrize("path", ["things", "/a b", "/a\r\nX: y", "/a/../b", "/a/..", "/é"])
def test_a_path_that_may_not_be_asked_for(path: str) -> None:
    with pytest.raises(ValueError, match="not a path"):
        HttpClient("http://127.0.0.1:1").call("GET", path, repeatable=False)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"\xff"])
def test_an_answer_that_is_no_object_leaves_doubt(body: bytes) -> None:
    with pytest.raises(Unanswered, match="answer_unreadable"):
        Answer(200, body, {}).json_object()
