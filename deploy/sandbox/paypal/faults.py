"""PayPal's error answers: `{name, message, debug_id, details: [{issue, field, location, description}], links}`.

Names, messages and issues are PayPal's own words on the wire (Orders v2 and Payments v2, OpenAPI of 2024-02-03).
"""

from __future__ import annotations

from itertools import count
from typing import Any

from deploy.sandbox.party import Answer, as_json

_NAMES = {
    400: ("INVALID_REQUEST", "Request is not well-formed, syntactically incorrect, or violates schema."),
    401: (
        "AUTHENTICATION_FAILURE",
        "Authentication failed due to missing authorization header, or invalid authentication credentials.",
    ),
    404: ("RESOURCE_NOT_FOUND", "The specified resource does not exist."),
    422: (
        "UNPROCESSABLE_ENTITY",
        "The requested action could not be performed, semantically incorrect, or failed business validation.",
    ),
}
_numbers = count(1)


class PayPalFault(Exception):
    """An answer that is an error; `issue` is what clients branch on, `field` a JSON pointer into the request, never a value."""

    def __init__(self, status: int, issue: str, field: str = "") -> None:
        super().__init__(issue)
        self.status = status
        self.issue = issue
        self.field = field

    def as_answer(self, reference: str = "") -> Answer:
        name, message = _NAMES[self.status]
        detail: dict[str, Any] = {"issue": self.issue, "description": self.issue.replace("_", " ").capitalize() + "."}
        if self.field:
            detail["field"] = self.field
            detail["location"] = "body"
        body: dict[str, Any] = {"name": name, "message": message, "debug_id": f"{next(_numbers):013x}", "links": []}
        if self.status != 401:
            body["details"] = [detail]
        return as_json(self.status, body, reference=reference)


def missing(field: str) -> PayPalFault:
    return PayPalFault(400, "MISSING_REQUIRED_PARAMETER", field)


def not_found() -> PayPalFault:
    return PayPalFault(404, "INVALID_RESOURCE_ID")
