"""What the policy makes of every call that leaves: one closed JSON Schema each, and where in it which personal value may stand.

A call is looked at as `{"method", "path", "query", "headers", "body"}`; a mail's body is `{"envelope", "text"}`. Names of headers are in small
letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from shared.policy.document import Disclosure, Policy

Schema = dict[str, Any]
Call = Mapping[str, Any]

TRANSPORT_HEADERS: Final = frozenset(
    {"host", "accept", "accept-encoding", "connection", "content-length", "content-type", "user-agent", "transfer-encoding"}
)
"""What HTTP itself needs; none of them is told anything of a person."""
_SHORT: Final = 4
_VALUE: Final = r"[A-Za-z0-9._~-]{1,128}"
_SCALAR: Final[Schema] = {"type": ["string", "number", "boolean", "null"]}
_TEXT: Final[Schema] = {"type": "string"}


def schemas(policy: Policy) -> dict[str, Schema]:
    """The name of each call → its schema."""
    return {name: _schema(policy, name, call) for name, call in policy.disclosures.items()}


def name_of(policy: Policy, party: str, call: Call) -> str | None:
    """Which of the policy's calls to this party it is, by method and path; None for one that nothing allows."""
    fits = [
        name
        for name, told in policy.disclosures.items()
        if (told.to, told.method) == (party, call["method"]) and re.fullmatch(_path(told), call["path"])
    ]
    # The narrower pattern first: one path may be anything, as the party itself names it.
    return min(fits, key=lambda name: "*" in policy.disclosures[name].path, default=None)


def misplaced(policy: Policy, name: str, call: Call, values: Mapping[str, str]) -> list[str]:
    """What is wrong with where a call holds a person's values (`part.field` → a value that is nobody else's).

    A value in a place that the policy does not give it, and a value that should have gone out and stands nowhere.
    """
    told = policy.disclosures[name]
    allowed = {field for fields in told.personal.values() for field in fields} | set(fields_in_path(told))
    wrong: list[str] = []
    arrived: set[str] = set()
    for place, text in _texts(call):
        for field, value in values.items():
            if not _holds(text, value):
                continue
            if field in _allowed_at(told, place):
                arrived.add(field)
            elif not any(values.get(other) == value for other in _allowed_at(told, place)):
                wrong.append(f"{name}: `{field}` stands in {place}")
    wrong += [f"{name}: `{field}` did not go out" for field in sorted((allowed & set(values)) - arrived)]
    return wrong


def fields_in_path(call: Disclosure) -> tuple[str, ...]:
    """The personal fields whose values stand in the path."""
    return tuple(re.findall(r"\{([^}]+)\}", call.path))


def _holds(text: str, value: str) -> bool:
    # A code of two letters is part of many a word: it counts where it is the whole value.
    return text == value if len(value) < _SHORT else value.casefold() in text.casefold()


def _allowed_at(call: Disclosure, place: str) -> tuple[str, ...]:
    if place == "path":
        return fields_in_path(call)
    if place.startswith("body."):
        return call.personal.get(place.removeprefix("body."), ())
    return call.personal.get(place, ())


def _schema(policy: Policy, name: str, call: Disclosure) -> Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "description": f"{call.by} to {call.to}, for {call.purpose}: clauses {', '.join(map(str, call.clauses))} of {policy.version}",
        **_closed(
            {
                "method": {"const": call.method},
                "path": {"type": "string", "pattern": f"^{_path(call)}$"},
                "query": _closed(dict.fromkeys(call.query, _TEXT)),
                "headers": _closed(
                    dict.fromkeys(
                        sorted(set(call.headers) if call.body == "mail" else {*TRANSPORT_HEADERS, *call.headers}), _TEXT
                    )
                ),
                "body": _body(call),
            },
            required=("method", "path", "query", "headers", "body"),
        ),
    }


def _body(call: Disclosure) -> Schema:
    if call.body == "none":
        return {"type": "null"}
    places = [place for place in (*call.personal, *call.plain) if not place.startswith("headers.")]
    return _tree([place.split(".") for place in places])


def _tree(places: list[list[str]]) -> Schema:
    """The closed schema of these places: objects all the way, lists where a step ends in `[]`, plain values at the end."""
    properties: Schema = {}
    for step in dict.fromkeys(place[0] for place in places):
        further = [place[1:] for place in places if place[0] == step and len(place) > 1]
        inner = _tree(further) if further else _SCALAR
        properties[step.removesuffix("[]")] = {"type": "array", "items": inner} if step.endswith("[]") else inner
    return _closed(properties)


def _closed(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": list(required)} if required else {}),
    }


def _path(call: Disclosure) -> str:
    pieces = re.split(r"(\{[^}]+\}|\*)", call.path)
    return "".join(_VALUE if piece.startswith("{") else "[^?#]*" if piece == "*" else re.escape(piece) for piece in pieces)


def _texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """(place, text) of every value and every name in a call; the items of a list share a place."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield f"{place}.{name} (its name)" if place else f"{name} (its name)", str(name)
            yield from _texts(inner, f"{place}.{name}" if place else str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner, f"{place}[]")
    elif value is not None:
        yield place, str(value)
