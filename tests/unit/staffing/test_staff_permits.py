"""Who of the staff may do what: every role, service, part, field, action, with a case and without, alone and in two."""

from __future__ import annotations

from itertools import product

import pytest

from shared.policy import load
from shared.policy.document import StaffGrant
from shared.staffing.permits import MASKED, Need, StaffPermits

POLICY = load()
PERMITS = StaffPermits(POLICY.staff.values())
ROLES = (*POLICY.roles, "visitor")
ACTIONS = ("see", "print", "reveal", "reply", "release", "change")
FIELDS = [(part, field) for part, its in POLICY.parts.items() for field in its.fields] + [
    ("diary", "name"),
    ("recipient", "diary"),
]
ADDRESS = {"name", *(f"address.{it}" for it in ("line1", "line2", "city", "region", "postal_code", "country"))}
WISHES = {"personalisation.line", "personalisation.text", "gift_message"}
CONTACT = {"name", "email", "phone", "language"}
BILLING = {"given_name", "family_name", "email", "tax_id", *(it for it in ADDRESS if it != "name")}
# Told once more, by hand: role, service, part, fields, actions, whether a case is needed, how many must agree.
TOLD: list[tuple[str, str, str, set[str], set[str], bool, int]] = [
    ("warehouse", "shipping", "purchase", {"lines", "placed_at"}, {"see", "print"}, False, 1),
    ("warehouse", "shipping", "references", {"order_number", "parcel", "tracking_number"}, {"see", "print"}, False, 1),
    ("warehouse", "shipping", "recipient", ADDRESS, {"print"}, False, 1),
    ("warehouse", "shipping", "recipient", WISHES, {"see", "print"}, False, 1),
    ("billing_clerk", "payments", "billing", BILLING, {"reveal"}, True, 1),
    ("billing_clerk", "payments", "purchase", {"amounts", "placed_at"}, {"see"}, False, 1),
    ("billing_clerk", "payments", "references", {"order_number", "payment_reference"}, {"see"}, False, 1),
    ("customer_service", "notifications", "contact", CONTACT, {"reveal"}, True, 1),
    ("customer_service", "notifications", "request", {"text", "name", "email"}, {"reveal", "reply"}, False, 1),
    ("customer_service", "notifications", "references", {"request_id"}, {"see"}, False, 1),
    ("privacy_officer", "notifications", "references", {"request_id"}, {"see", "reply"}, False, 1),
    ("customer_service", "orders", "references", {"order_number"}, {"see"}, False, 1),
    ("privacy_officer", "orders", "preferences", {"communication", "policy_choice", "policy_version"}, {"see"}, False, 1),
    ("privacy_officer", "orders", "references", {"customer_id", "order_number"}, {"see"}, False, 1),
    ("privacy_officer", "shipping", "recipient", ADDRESS | WISHES, {"release"}, False, 2),
    ("privacy_officer", "notifications", "contact", CONTACT, {"release"}, False, 2),
    ("privacy_officer", "payments", "billing", BILLING, {"release"}, False, 2),
]
MAY = {
    (role, service, part, field, action): (needs_case, people)
    for role, service, part, fields, actions, needs_case, people in TOLD
    for field, action in product(fields, actions)
}
Cell = tuple[str, str, str, str, str, bool, int]
MATRIX: list[Cell] = [
    (role, service, part, field, action, has_case, people)
    for role, service, (part, field), action, has_case, people in product(
        ROLES, (*POLICY.services, "archive"), FIELDS, ACTIONS, (False, True), (1, 2)
    )
]


def expected(cell: Cell) -> str | None:
    *what, has_case, people = cell
    told = MAY.get(tuple(what))  # type: ignore[arg-type]
    if told is None:
        return "not_granted"
    if told[0] and not has_case:
        return "case_needed"
    return "second_person_needed" if told[1] > people else None


def wrong_cells(permits: StaffPermits) -> list[Cell]:
    return [
        cell
        for cell in MATRIX
        if permits.refusal(
            role=cell[0], service=cell[1], part=cell[2], field=cell[3], action=cell[4], has_case=cell[5], people=cell[6]
        )
        != expected(cell)
    ]


def test_the_matrix_is_whole_and_every_cell_is_as_promised() -> None:
    assert len(MATRIX) == len(ROLES) * 5 * len(FIELDS) * len(ACTIONS) * 4
    assert wrong_cells(PERMITS) == []


@pytest.mark.parametrize("name", POLICY.staff)
def test_one_grant_less_is_red(name: str) -> None:
    grant = POLICY.staff[name]
    wrong = wrong_cells(StaffPermits(it for it in POLICY.staff.values() if it is not grant))
    assert wrong
    assert {cell[:3] for cell in wrong} == {(grant.role, grant.service, grant.part)}


def _more(**changed: object) -> StaffGrant:
    return POLICY.staff["clerk-reads-the-bill"].model_copy(update=changed)


@pytest.mark.parametrize(
    "grant",
    [
        _more(role="warehouse"),
        _more(service="shipping"),
        _more(actions=("print",)),
        _more(needs_case=False),
        _more(part="contact", fields=("email",)),
        POLICY.staff["officer-releases-the-bill"].model_copy(update={"people": 1}),
        POLICY.staff["officer-follows-rights"].model_copy(update={"fields": ("tracking_number",)}),
    ],
    ids=["another role", "another service", "another action", "without a case", "another part", "alone", "another field"],
)
def test_one_grant_more_is_red(grant: StaffGrant) -> None:
    assert wrong_cells(StaffPermits([*POLICY.staff.values(), grant]))


def test_a_need_is_met_whole_or_not_at_all() -> None:
    def refusal(need: Need, **how: object) -> str | None:
        return PERMITS.refusal_of(need, role="billing_clerk", service="payments", **how)  # type: ignore[arg-type]

    assert refusal(Need("reveal", "billing", ("email",)), has_case=True) is None
    assert refusal(Need("reveal", "billing", ("email", "diary")), has_case=True) == "not_granted"
    assert refusal(Need("reveal", "billing"), has_case=True) == "not_granted", "what names nothing is not let through"
    assert refusal(Need("reveal", "billing", ("email",))) == "case_needed"


def test_a_masked_look_is_for_whom_some_grant_of_the_part_names() -> None:
    for role, service, part in product(ROLES, POLICY.services, POLICY.parts):
        named = any(told[:3] == (role, service, part) for told in TOLD)
        refusal = PERMITS.refusal(role=role, service=service, part=part, field="", action=MASKED)
        assert (refusal is None) is named, (role, service, part)


def test_an_account_stands_where_a_grant_names_its_role() -> None:
    assert PERMITS.services_of("warehouse") == ("shipping",)
    assert PERMITS.services_of("billing_clerk") == ("payments",)
    assert PERMITS.services_of("customer_service") == ("notifications", "orders")
    assert set(PERMITS.services_of("privacy_officer")) == set(POLICY.services)
    assert PERMITS.services_of("visitor") == ()
