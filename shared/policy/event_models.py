"""The events' models against the policy: what they have of a person is compiled from it, and all else must be called plain there."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from shared.contracts.events import EVENTS, SealedBox
from shared.contracts.storefront import EVENT_FORMS, PART_FORMS, PART_SERVICES, PARTS_OF_EVENT, PreferencesChanged
from shared.policy.compile_databases import tables_of
from shared.policy.document import Policy

Models = Mapping[str, type[BaseModel]]
_PERSONAL = "Personal"
_COMPILED = frozenset({"shared.contracts.personal", "shared.contracts.storefront.personal"})


def members_of(model: type[BaseModel]) -> set[str]:
    """The leaves of a model, dotted; a list's items share its name, and a sealed box is one leaf."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        inner = next(iter(_models_in(field.annotation)), None)
        found |= {f"{name}.{member}" for member in members_of(inner)} if inner is not None and inner is not SealedBox else {name}
    return found


def part_differences(policy: Policy, forms: Models = PART_FORMS) -> list[str]:
    """Where the compiled forms of the sealed parts are not what the policy says now."""
    sealed = {name: part for name, part in policy.parts.items() if part.sealed}
    wrong = [f"part {name}: only one side has it" for name in sorted(set(sealed) ^ set(forms))]
    for name in sorted(set(sealed) & set(forms)):
        wrong += _both(f"part {name}", set(sealed[name].fields), members_of(forms[name]))
        if policy.openers_of(name) != {PART_SERVICES[name]}:
            wrong.append(
                f"part {name}: the contract lets {PART_SERVICES[name]} open it, the policy {sorted(policy.openers_of(name))}"
            )
        told = {event for event in sealed[name].events if event in EVENT_FORMS}
        wrong += _both(f"events with {name}", told, {event for event, parts in PARTS_OF_EVENT.items() if name in parts})
    chosen = members_of(PreferencesChanged) - {"customer_id"}
    return wrong + _both("part preferences", set(policy.parts["preferences"].fields), chosen)


def event_differences(policy: Policy, events: Models = EVENTS, storefront: Models | None = None) -> list[str]:
    """What of the events' models is neither compiled from the policy nor called plain there, and what it compiles that no model has."""
    forms = {name: form.data for name, form in EVENT_FORMS.items()} if storefront is None else storefront
    plain, used = set(policy.messages.plain), set[str]()
    wrong, made = [], set[str]()
    for name, model in sorted({**events, **forms}.items()):
        if name in events:
            boxes = {member for member, field in model.model_fields.items() if SealedBox in _models_in(field.annotation)}
            told = {part for part, its in policy.parts.items() if its.sealed and name in its.events}
            wrong += _both(f"parts in {name}", told, boxes)
        made |= {base.__name__ for inner in _with_inner(model) for base in inner.__mro__ if base.__module__ in _COMPILED}
        written = _written_members(model)
        used |= written
        wrong += [f"event {name}: the policy does not know its member {member}" for member in sorted(written - plain)]
        wrong += [f"event {name}: {member} is compiled, and written once more" for member in sorted(_written_again(model))]
    told = {f"{_PERSONAL}{name}" for name in (*policy.messages.storefront, *policy.messages.internal)}
    wrong += [f"model {name.removeprefix(_PERSONAL)}: no event has what is compiled for it" for name in sorted(told - made)]
    return wrong + [f"member {name}: no event has it" for name in sorted(plain - used)]


def _written_members(model: type[BaseModel]) -> set[str]:
    """The leaves of a model, dotted, that stand in the code: none of those that a compiled base brings."""
    compiled = {name for base in model.__mro__ if base.__module__ in _COMPILED for name in inspect.get_annotations(base)}
    found: set[str] = set()
    for name, field in model.model_fields.items():
        inner = next(iter(_models_in(field.annotation)), None)
        if name not in compiled and inner is not SealedBox:
            found |= {name} if inner is None else {f"{name}.{member}" for member in _written_members(inner)}
    return found


def _written_again(model: type[BaseModel]) -> set[str]:
    """The members that a compiled base brings and a class of the code takes the place of."""
    bases = [base for inner in _with_inner(model) for base in inner.__mro__ if issubclass(base, BaseModel)]
    again: set[str] = set()
    for base in bases:
        if base.__module__ not in _COMPILED:
            brought = {name for its in base.__mro__ if its.__module__ in _COMPILED for name in inspect.get_annotations(its)}
            again |= brought & set(inspect.get_annotations(base))
    return again


def _with_inner(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for inner in _models_in(field.annotation):
            yield from _with_inner(inner)


def never_differences(policy: Policy, models: Iterable[type[BaseModel]] | None = None) -> list[str]:
    """Members of our models and columns of our tables that are named like what has no place here."""
    every = [*PART_FORMS.values(), *EVENTS.values(), *(form.data for form in EVENT_FORMS.values())] if models is None else models
    names = {name.rpartition(".")[2]: model.__name__ for model in every for name in members_of(model)}
    for database in policy.databases.databases:
        for table, columns in tables_of(policy, database).items():
            if not table.startswith("_yoyo"):  # the migration tool notes which operator ran it
                names |= dict.fromkeys((*columns.sealed, *columns.pseudonymous, *columns.plain), f"{database}.{table}")
    forbidden = {name: never for never, its in policy.never.items() for name in its.names}
    return [f"{names[name]}: {name} is what `{forbidden[name]}` may never be" for name in sorted(set(names) & set(forbidden))]


def label_differences(policy: Policy, metrics: Mapping[str, Iterable[str]]) -> list[str]:
    """Metrics and labels that only one side has; `metrics` is name → labels, as the process has them."""
    told = policy.observed.metric_labels
    wrong = _both("metrics", set(told), set(metrics))
    for name in sorted(set(told) & set(metrics)):
        wrong += _both(f"labels of {name}", set(told[name]), set(metrics[name]))
    return wrong


def _both(what: str, told: set[str], found: set[str]) -> list[str]:
    return [
        *(f"{what}: {name} is in the policy alone" for name in sorted(told - found)),
        *(f"{what}: {name} is not in the policy" for name in sorted(found - told)),
    ]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
