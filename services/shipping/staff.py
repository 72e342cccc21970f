"""Staff's verbs over HTTP: one item or many, each with its own ending."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from shared.contracts.errors import Fault, Refused
from shared.contracts.values import OrderKey
from shared.delivery.reading import faults_of
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
    items = _items(body, form, is_bare=is_bare)
    keys = keys_of(name, [getattr(item, name) for item in items])
    known = [(item, keys[getattr(item, name)]) for item in items if getattr(item, name) in keys]
    endings = iter(ask(known))
    results = [
        _result(name, item, next(endings) if getattr(item, name) in keys else Ending("refused", f"{name}_unknown"))
        for item in items
    ]
    if is_bare and results[0]["ending"] == "refused":
        code = results[0]["reasons"][0]["code"]
        raise StatusError(404 if code.endswith("_unknown") else 409, code)
    return Answer(200, {"results": results})


def _items(body: Any, form: type[BaseModel], *, is_bare: bool) -> list[BaseModel]:
    raw = [body] if is_bare else body["items"]
    if not isinstance(raw, list):
        raise Refused([Fault("wrong_type", "/items")])
    if len(raw) > MOST_ITEMS:
        raise Refused([Fault("too_many_items", "/items")])
    items, faults = [], []
    for place, value in enumerate(raw):
        try:
            items.append(form.model_validate(value))
        except ValidationError as error:
            root = "" if is_bare else f"/items/{place}"
            faults += [Fault(fault.code, root + fault.path.removeprefix("/data")) for fault in faults_of(error)]
    if faults:
        raise Refused(faults) from None
    return items


def _result(name: str, item: BaseModel, ending: Ending) -> dict[str, Any]:
    kind = {"done": "done", "repeated": "done", "later": "later"}.get(ending.kind, "refused")
    reasons = [fault.as_dict() for fault in ending.faults] or ([{"code": ending.code, "path": ""}] if ending.code else [])
    return {name: getattr(item, name), "ending": kind, "reasons": reasons}
