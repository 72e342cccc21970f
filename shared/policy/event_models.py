"""The personal fields of the event models against the policy's, both ways: what only one side has is named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from shared.contracts.events import EVENTS, SealedBox
from shared.contracts.storefront import EVENT_FORMS, PART_FORMS, PART_SERVICES, PreferencesChanged
from shared.policy.compile_databases import tables_of
from shared.policy.document import Policy

Models = Mapping[str, type[BaseModel]]


def members_of(model: type[BaseModel]) -> set[str]:
    """The leaves of a model, dotted; a list's items share its name, and a sealed box is one leaf."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        inner = next(iter(_models_in(field.annotation)), None)
        found |= {f"{name}.{member}" for member in members_of(inner)} if inner is not None and inner is not SealedBox else {name}
    return found


def part_differences(policy: Policy, forms: Models = PART_FORMS) -> list[str]:
    """What of the sealed parts' fields, services and events the storefront's contract and the policy do not both say."""
    sealed = {name: part for name, part in policy.parts.items() if part.sealed}
    wrong = [f"part {name}: only one side has it" for name in sorted(set(sealed) ^ set(forms))]
    for name in sorted(set(sealed) & set(forms)):
        wrong += _both(f"part {name}", set(sealed[name].fields), members_of(forms[name]))
        if policy.openers_of(name) != {PART_SERVICES[name]}:
            wrong.append(
                f"part {name}: the contract lets {PART_SERVICES[name]} open it, the policy {sorted(policy.openers_of(name))}"
            )
        told = {event for event in sealed[name].events if event in EVENT_FORMS}
        wrong += _both(f"events with {name}", told, {event for event, form in EVENT_FORMS.items() if name in form.parts})
    chosen = members_of(PreferencesChanged) - {"customer_id"}
    return wrong + _both("part preferences", set(policy.parts["preferences"].fields), chosen)


def event_differences(policy: Policy, events: Models = EVENTS) -> list[str]:
    """What of the internal events' members the policy does not know, and what it knows that no event has."""
    plain, pseudonymous = set(policy.messages.plain), set(policy.messages.pseudonymous)
    wrong = [f"member {name}: the policy calls it plain and pseudonymous" for name in sorted(plain & pseudonymous)]
    used: set[str] = set()
    for name, model in sorted(events.items()):
        boxes = {member for member, field in model.model_fields.items() if SealedBox in _models_in(field.annotation)}
        told = {part for part, its in policy.parts.items() if its.sealed and name in its.events}
        wrong += _both(f"parts in {name}", told, boxes)
        members = members_of(model) - boxes
        used |= members
        wrong += [
            f"event {name}: the policy does not know its member {member}" for member in sorted(members - plain - pseudonymous)
        ]
    return wrong + [f"member {name}: no event has it" for name in sorted((plain | pseudonymous) - used)]


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
