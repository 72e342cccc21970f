"""The models, the metrics and the tables against the policy, both ways."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, create_model

from shared.cli.privacy import code_differences
from shared.contracts.events import EVENTS, LabelCreated, OrderHeld, RecipientEntrusted, SealedBox
from shared.contracts.storefront import EVENT_FORMS, PART_FORMS, CustomerDeactivated, Recipient
from shared.metrics import labels_by_metric
from shared.policy import Policy, load
from shared.policy.compile_models import INTERNAL_FILE, STOREFRONT_FILE, compile_models
from shared.policy.document import PartField
from shared.policy.event_models import event_differences, label_differences, members_of, never_differences, part_differences

POLICY = load()


def test_code_and_policy_agree() -> None:
    assert code_differences(POLICY) == []
    assert "address.line1" in members_of(Recipient)
    assert "personalisation.text" in members_of(Recipient)
    assert {"recipient", "lines.title"} <= members_of(RecipientEntrusted)


def without(policy: Policy, part: str, field: str) -> Policy:
    its = policy.parts[part]
    fields = {name: told for name, told in its.fields.items() if name != field}
    return policy.model_copy(update={"parts": {**policy.parts, part: its.model_copy(update={"fields": fields})}})


def test_a_field_that_only_one_side_has_is_named() -> None:
    more = create_model("Recipient", __base__=Recipient, nickname=(str, ""))
    assert part_differences(POLICY, {**PART_FORMS, "recipient": more}) == ["part recipient: nickname is not in the policy"]
    for part, form in PART_FORMS.items():
        for field in members_of(form):
            assert part_differences(without(POLICY, part, field)) == [f"part {part}: {field} is not in the policy"]
    less = {name: form for name, form in PART_FORMS.items() if name != "friend"}
    assert part_differences(POLICY, less) == ["part friend: only one side has it"]


def test_an_event_s_member_that_the_policy_does_not_know_is_named() -> None:
    more = create_model("OrderHeld", __base__=OrderHeld, buyer=(str, ""))
    assert event_differences(POLICY, {**EVENTS, "order_held": more}) == [
        "event order_held: the policy does not know its member buyer"
    ]
    boxed = create_model("OrderHeld", __base__=OrderHeld, contact=(SealedBox | None, None))
    assert event_differences(POLICY, {**EVENTS, "order_held": boxed}) == ["parts in order_held: contact is not in the policy"]
    again = create_model("LabelCreated", __base__=LabelCreated, parcel=(str, ""))
    assert event_differences(POLICY, {**EVENTS, "label_created": again}) == [
        "event label_created: parcel is compiled, and written once more"
    ]
    clear = create_model("RecipientEntrusted", __base__=RecipientEntrusted, recipient=(str, ""))
    assert "parts in recipient_entrusted: recipient is in the policy alone" in event_differences(
        POLICY, {**EVENTS, "recipient_entrusted": clear}
    )
    less = {name: event for name, event in EVENTS.items() if name != "parcel_packed"}
    assert event_differences(POLICY, less) == ["model ParcelPacked: no event has what is compiled for it"]
    less = {name: event for name, event in EVENTS.items() if name != "order_released"}
    assert event_differences(POLICY, less) == ["member released_at: no event has it"]
    note = create_model("CustomerDeactivated", __base__=CustomerDeactivated, note=(str, ""))
    forms = {name: form.data for name, form in EVENT_FORMS.items()} | {"customer_deactivated": note}
    assert event_differences(POLICY, EVENTS, forms) == ["event customer_deactivated: the policy does not know its member note"]


def test_a_field_of_the_policy_becomes_one_of_the_models_without_a_line_of_code() -> None:
    """The compiled modules are run as they stand: what the policy adds, leaves out or makes optional is so in the classes."""
    contact = POLICY.parts["contact"]
    fields = {
        **{name: told for name, told in contact.fields.items() if name != "phone"},
        "nickname": PartField(category="user.name", grammar="name_or_none"),
    }
    internal = {**POLICY.messages.internal, "OrderHeld": {"references": {"request_id": "text"}}}
    changed = POLICY.model_copy(
        update={
            "parts": {**POLICY.parts, "contact": contact.model_copy(update={"fields": fields})},
            "messages": POLICY.messages.model_copy(update={"internal": internal}),
        }
    )
    modules = {path: run(text, Path(path).stem) for path, text in compile_models(changed).items()}
    form = modules[STOREFRONT_FILE]["Contact"]
    assert set(form.model_fields) == {"name", "email", "language", "nickname"}
    assert not form.model_fields["nickname"].is_required()
    assert form.model_validate({"name": "A", "email": "a@example.org"}).language == "en"
    assert set(modules[INTERNAL_FILE]["PersonalOrderHeld"].model_fields) == {"request_id"}
    assert not modules[INTERNAL_FILE]["PersonalBillingEntrusted"].model_fields["billing"].is_required()
    assert part_differences(changed, {**PART_FORMS, "contact": form}) == []
    assert part_differences(changed) == [
        "part contact: nickname is in the policy alone",
        "part contact: phone is not in the policy",
    ]


def run(text: str, name: str) -> dict[str, Any]:
    """The names of a module by its text; it is imported, since pydantic looks its annotations up there."""
    module = ModuleType(f"compiled_{name}_under_test")
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, name, "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    return module.__dict__


@pytest.mark.parametrize("name", [name for never in POLICY.never.values() for name in never.names])
def test_a_field_that_must_never_be_is_named(name: str) -> None:
    class Kind(BaseModel):
        pass

    model = create_model("Form", __base__=Kind, **{name: (str, "")})  # type: ignore[call-overload]
    [told] = never_differences(POLICY, [model])
    assert told.startswith(f"Form: {name} is what")


def test_a_label_that_only_one_side_has_is_named() -> None:
    found = labels_by_metric()
    assert label_differences(POLICY, found) == []
    assert label_differences(POLICY, {**found, "brownpaper_messages": ("service", "type", "ending", "email")}) == [
        "labels of brownpaper_messages: email is not in the policy"
    ]
    assert label_differences(POLICY, {**found, "brownpaper_persons": ()}) == ["metrics: brownpaper_persons is not in the policy"]
    less = {name: labels for name, labels in found.items() if name != "brownpaper_published"}
    assert label_differences(POLICY, less) == ["metrics: brownpaper_published is in the policy alone"]
