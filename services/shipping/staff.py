"""Staff's verbs over HTTP: one item or many, each with its own ending."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from shared.contracts.errors import Fault, Refused
from shared.contracts.storefront.forms import form_faults
from shared.contracts.values import OrderKey
from shared.delivery.work import Ending
from shared.http_door import Answer, Request, StatusError

MOST_ITEMS = 500

Ask = Callable[[str, Sequence[tuple[Any, OrderKey | None]]], list[Ending]]


def each(
    request: Request,
    form: type[BaseModel],
    name: str,
    keys_of: Callable[[str, Sequence[str]], dict[str, OrderKey]],
    ask: Callable[[list[tuple[BaseModel, OrderKey]]], list[Ending]],
) -> Answer:
    """Check the items, have those that are sound done, and answer each in the order asked.

    `name` is the member by which an item is named (`pick_list` or `parcel`). One bare item that is refused is answered as a problem: 404
    where nobody knows it, 409 where the shipment is not there yet or no more.
    """
    body = request.json()
    is_bare = not (isinstance(body, dict) and "items" in body)
    items = [_read(value, form) for value in _values(body, is_bare=is_bare)]
    sound = [item for item in items if isinstance(item, BaseModel)]
    keys = keys_of(name, [getattr(item, name) for item in sound])
    known = [(item, keys[getattr(item, name)]) for item in sound if getattr(item, name) in keys]
    endings = iter(ask(known))
    results = []
    for item in items:
        if not isinstance(item, BaseModel):
            results.append(_result(name, item.name, Ending("refused", "malformed", item.faults)))
        elif getattr(item, name) not in keys:
            results.append(_result(name, getattr(item, name), Ending("refused", f"{name}_unknown")))
        else:
            results.append(_result(name, getattr(item, name), next(endings)))
    if is_bare and isinstance(items[0], _Malformed):
        raise Refused(items[0].faults)
    if is_bare and results[0]["ending"] == "refused":
        code = results[0]["reasons"][0]["code"]
        raise StatusError(404 if code.endswith("_unknown") else 409, code)
    return Answer(200, {"results": results})


@dataclass(frozen=True, slots=True)
class _Malformed:
    """An item that is none; `name` is null, for what was sent may be anything."""

    faults: tuple[Fault, ...]
    name: None = None


def _values(body: Any, *, is_bare: bool) -> list[Any]:
    values = [body] if is_bare else body["items"]
    if not isinstance(values, list):
        raise Refused([Fault("wrong_type", "/items")])
    if len(values) > MOST_ITEMS:
        raise Refused([Fault("too_long", "/items")])
    return values


def _read(value: Any, form: type[BaseModel]) -> BaseModel | _Malformed:
    try:
        return form.model_validate(value)
    except ValidationError as error:
        return _Malformed((Fault("wrong_type"),) if not isinstance(value, dict) else tuple(form_faults(error, value)))


def _result(name: str, value: str | None, ending: Ending) -> dict[str, Any]:
    kind = {"done": "done", "repeated": "done", "later": "later"}.get(ending.kind, "refused")
    reasons = [fault.as_dict() for fault in ending.faults] or ([{"code": ending.code, "path": ""}] if ending.code else [])
    return {name: value, "ending": kind, "reasons": reasons}
