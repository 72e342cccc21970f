"""One table from our errors to HTTP answers: a status, a stable code, every fault, and never a word of what went wrong inside."""

from __future__ import annotations

import json
import warnings
from types import SimpleNamespace

import pytest
from werkzeug.exceptions import BadRequest, MethodNotAllowed, NotFound
from werkzeug.wrappers import Request as WerkzeugRequest

from shared.contracts.errors import BrownPaperError, Fault, Parked, Refused, TryLater

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # eventlet says on import that it is maintained, but no more
    from shared.database import Contended, DatabaseUnavailable
    from shared.http_door import Request, Served, StatusError, is_json, problem_of

CANARY = "canary-5512"
FAULTS = [Fault("missing", "/data/lines"), Fault("too_long", "/data/sku")]
TABLE: dict[str, tuple[Exception, int, str, list[dict[str, str]], dict[str, str]]] = {
    "refused": (Refused(FAULTS), 422, "missing", [fault.as_dict() for fault in FAULTS], {}),
    "refused for nothing named": (Refused([]), 422, "refused", [{"code": "refused", "path": ""}], {}),
    "its own status": (StatusError(404, "label_unknown"), 404, "label_unknown", [{"code": "label_unknown", "path": ""}], {}),
    "its own headers": (
        StatusError(401, "token_wrong", headers={"WWW-Authenticate": "Bearer"}),
        401,
        "token_wrong",
        [{"code": "token_wrong", "path": ""}],
        {"WWW-Authenticate": "Bearer"},
    ),
    "later": (TryLater("order_unknown"), 503, "order_unknown", [{"code": "order_unknown", "path": ""}], {"Retry-After": "2"}),
    "later, at a time": (
        TryLater("party_busy", after_seconds=61.7),
        503,
        "party_busy",
        [{"code": "party_busy", "path": ""}],
        {"Retry-After": "61"},
    ),
    "no database": (
        DatabaseUnavailable(),
        503,
        "database_unavailable",
        [{"code": "database_unavailable", "path": ""}],
        {"Retry-After": "2"},
    ),
    "contended": (Contended(), 503, "contended", [{"code": "contended", "path": ""}], {"Retry-After": "2"}),
    "parked": (Parked("label_voided", FAULTS), 500, "label_voided", [{"code": "label_voided", "path": ""}], {}),
    "no such route": (NotFound(CANARY), 404, "not_found", [{"code": "not_found", "path": ""}], {}),
    "no such method": (MethodNotAllowed(), 405, "method_not_allowed", [{"code": "method_not_allowed", "path": ""}], {}),
    "bad request": (BadRequest(CANARY), 400, "bad_request", [{"code": "bad_request", "path": ""}], {}),
    "a stranger": (ValueError(CANARY), 500, "unexpected", [{"code": "unexpected", "path": ""}], {}),
    "the root of ours": (BrownPaperError(CANARY), 500, "unexpected", [{"code": "unexpected", "path": ""}], {}),
}


@pytest.mark.parametrize("case", TABLE)
def test_each_error_has_its_answer(case: str) -> None:
    error, status, title, reasons, headers = TABLE[case]
    response = problem_of(error)
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert json.loads(response.get_data()) == {"title": title, "status": status, "reasons": reasons}
    for name, value in headers.items():
        assert response.headers[name] == value
    assert CANARY.encode() not in response.get_data()
    assert CANARY not in str(response.headers)


@pytest.mark.parametrize(
    ("content_type", "wanted"),
    [
        ("application/json", True),
        ("application/cloudevents+json; charset=UTF-8", True),
        ("Application/JSON;charset=utf8", True),
        ("application/json; charset=latin-1", False),
        ("text/json", False),
        ("", False),
    ],
)
def test_what_is_json(content_type: str, wanted: bool) -> None:
    assert is_json(content_type) is wanted
    request = Request({}, {}, b"[1]", content_type)
    if wanted:
        assert request.json() == [1]
    else:
        with pytest.raises(StatusError) as caught:
            request.json()
        assert (caught.value.status, caught.value.code) == (415, "content_type_unsupported")


@pytest.mark.parametrize("body", [b"", b"{", CANARY.encode(), b"\xff", b'"\\ud800"', b"NaN"])
def test_a_body_that_is_no_json_is_refused_without_repeating_it(body: bytes) -> None:
    with pytest.raises(StatusError) as caught:
        Request({}, {}, body, "application/json").json()
    assert (caught.value.status, str(caught.value)) == (400, "malformed_json at /")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_more_than_there_are_places_for_are_told_to_come_again() -> None:
    served = Served("GET", "/keys", in_flight=0)
    served.container, served.method_name = SimpleNamespace(service_name="orders"), "published_keys"
    response = served.answer(WerkzeugRequest({"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http"}), {})
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) >= 1
    assert response.json == {"title": "too_many_requests", "status": 429, "reasons": [{"code": "too_many_requests", "path": ""}]}
