"""A door that says when it will answer again is believed."""

from __future__ import annotations

import pytest
import requests

from shared.cli.doors import Answered, Door, Unreachable


@pytest.mark.parametrize(
    ("headers", "raised"), [({"Retry-After": "3000"}, Answered), ({"Retry-After": "0"}, Unreachable), ({}, Unreachable)]
)
def test_a_limit_that_lasts_longer_than_anybody_waits_is_an_answer(
    headers: dict[str, str], raised: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def request(*_: object, **__: object) -> requests.Response:
        nonlocal asked
        asked += 1
        response = requests.Response()
        response.status_code, response._content = 429, b'{"title": "too_many_reveals"}'
        response.headers.update(headers)
        return response

    monkeypatch.setattr(requests.Session, "request", request)
    with pytest.raises(raised):
        Door("A door", "http://127.0.0.1:1", patience_seconds=0.05).get_json("/labels/a.pdf")
    assert (asked == 1) is (raised is Answered)
