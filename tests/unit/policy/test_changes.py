"""The difference of two policies: nothing goes unjudged, the way back is the other way round, and two steps hide nothing."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.policy import POLICY_FILE, Policy, VersionsRefused, change_rules, changes, load, load_versions, notices
from shared.policy.changes import Effect, Sort, difference, facts, is_another_policy, material, widenings

NOW = load()
DATA: dict[str, Any] = NOW.model_dump(mode="json")
WIDENING, NARROWING, NEUTRAL = Effect.WIDENING, Effect.NARROWING, Effect.NEUTRAL
OPPOSITE = {WIDENING: NARROWING, NARROWING: WIDENING, NEUTRAL: NEUTRAL}
Edit = Callable[[dict[str, Any]], object]


def edited(*edits: Edit) -> Policy:
    data = copy.deepcopy(DATA)
    for edit in edits:
        edit(data)
    return Policy.model_validate(data)


def put(path: str, value: object) -> Edit:
    *above, last = path.split("/")

    def plant(data: dict[str, Any]) -> None:
        for step in above:
            data = data[step]
        data[last] = value

    return plant


def out(path: str) -> Edit:
    *above, last = path.split("/")

    def take(data: dict[str, Any]) -> None:
        for step in above:
            data = data[step]
        del data[last]

    return take


def more(path: str, *words: str) -> Edit:
    return lambda data: put(path, [*_at(data, path), *words])(data)


def less(path: str, word: str) -> Edit:
    return lambda data: put(path, [it for it in _at(data, path) if it != word])(data)


def _at(data: Any, path: str) -> Any:
    for step in path.split("/"):
        data = data[step]
    return data


HOLD = DATA["holds"]["contact-for-news"]
# One edit each, and by hand what the published promises make of it.
JUDGED: list[tuple[str, Edit, set[Effect]]] = [
    ("a service may have a field more", more("holds/contact-for-news/fields", "phone"), {WIDENING}),
    ("a service may have a field less", less("holds/contact-for-news/fields", "name"), {NARROWING}),
    ("a hold for another purpose", put("holds/fresh", {**HOLD, "purpose": "improve"}), {WIDENING}),
    ("a hold that goes", out("holds/contact-for-trouble"), {NARROWING}),
    ("a hold moves to another purpose", put("holds/contact-for-news/purpose", "improve"), {WIDENING, NARROWING}),
    ("what was passed on unread may be read", put("holds/recipient-in-transit/opens", True), {WIDENING}),
    ("what was a hash may stand in the clear", put("holds/friend-remembered/form", "as_it_is"), {WIDENING, NARROWING}),
    ("kept longer", put("holds/recipient-to-ship/retention/days", 61), {WIDENING}),
    ("kept shorter", put("holds/recipient-to-ship/retention/days", 59), {NARROWING}),
    ("kept for good", put("holds/recipient-to-ship/retention/days", None), {WIDENING}),
    ("waiting longer", put("holds/friend-to-invite/retention/waits/days", 31), {WIDENING}),
    ("waiting shorter", put("holds/friend-to-invite/retention/waits/days", 29), {NARROWING}),
    ("waiting for ever", put("holds/friend-to-invite/retention/waits", None), {WIDENING}),
    ("kept until another event", less("holds/recipient-to-ship/retention/after", "order_cancelled"), {WIDENING, NARROWING}),
    (
        "a party more",
        put("parties/advertiser", {**DATA["parties"]["carrier"], "statement": "Sells."}),
        {WIDENING},
    ),
    ("a party may do more", put("parties/carrier/secondary_use", "none_given"), {WIDENING, NARROWING}),
    (
        "the carrier gets a field more",
        put("disclosures/carrier-buy-label/personal/shipment.x", ["recipient.gift_message"]),
        {WIDENING},
    ),
    ("the carrier gets a field less", out("disclosures/carrier-buy-label/personal/shipment.ship_to.name"), {NARROWING}),
    ("a plain member more", more("disclosures/carrier-buy-label/plain", "shipment.note"), {WIDENING}),
    ("a plain member less", less("disclosures/carrier-buy-label/plain", "label_format"), {NARROWING}),
    ("a word of a query more", more("disclosures/carrier-find-label/query", "note"), {WIDENING}),
    ("a header more", more("disclosures/carrier-find-label/headers", "note"), {WIDENING}),
    ("another path", put("disclosures/carrier-buy-label/path", "/v2/labels"), {WIDENING, NARROWING}),
    ("a call more", put("disclosures/fresh", {**DATA["disclosures"]["carrier-label-paper"], "path": "/v1/more"}), {WIDENING}),
    ("a call less", out("disclosures/carrier-label-paper"), {NARROWING}),
    ("how a field is written is said", put("parts/purchase/fields/lines/grammar", "text"), {WIDENING}),
    ("a database more", put("databases/databases/more", DATA["databases"]["databases"]["orders"]), {WIDENING}),
    ("a party is reached in another way", put("parties/carrier/reached_by", "smtp"), {WIDENING, NARROWING}),
    ("a field is written more loosely", put("parts/contact/fields/phone/grammar", "text"), {WIDENING, NARROWING}),
    ("a part travels with another event", more("parts/contact/events", "order_cancelled"), {WIDENING}),
    ("a service more", put("services/adverts", {"statement": "Sells."}), {WIDENING}),
    ("a role more", put("roles/seller", {"statement": "Sells."}), {WIDENING}),
    ("a log field more", more("observed/log_fields", "shop"), {WIDENING}),
    ("a log field less", less("observed/log_fields", "order_number"), {NARROWING}),
    ("a metric's label more", more("observed/metric_labels/brownpaper_held", "queue"), {WIDENING}),
    ("a metric's label less", less("observed/metric_labels/brownpaper_held", "state"), {NARROWING}),
    ("a broker user more", put("broker/users/auditor", {"service": "orders", "party": None}), {WIDENING}),
    ("a broker user is another's", put("broker/users/storefront/party", "carrier"), {WIDENING, NARROWING}),
    ("a plugin more", more("broker/plugins", "rabbitmq_shovel"), {WIDENING}),
    ("a setting is another", put("databases/settings/log_statement", "all"), {WIDENING, NARROWING}),
    ("a setting goes", out("databases/settings/log_statement"), {WIDENING}),
    ("a setting more", put("databases/settings/log_duration", "off"), {NARROWING}),
    ("a database is another service's", put("databases/databases/orders/service", "payments"), {WIDENING, NARROWING}),
    (
        "a box becomes plain",
        lambda data: [
            out("databases/tables/shipping/recipients/sealed/recipient")(data),
            more("databases/tables/shipping/recipients/plain", "recipient")(data),
        ],
        {WIDENING},
    ),
    ("a pseudonym's column more", put("databases/tables/orders/persons/pseudonymous", {"shop": "references"}), {WIDENING}),
    ("a box's column more", put("databases/tables/shipping/recipients/sealed/copy", "recipient"), {NEUTRAL}),
    ("boxes among others", more("databases/tables/plumbing/held/with_boxes", "headers"), {WIDENING}),
    ("a column is only called alike", put("databases/called_alike/orders.persons.email", "None."), {WIDENING}),
    ("a table keeps less true", put("databases/tables/orders/hold_record/triggers", {}), {WIDENING}),
    ("a record may be changed", put("databases/tables/keyring/openings/added_only", False), {WIDENING}),
    ("an event's member more", put("messages/internal/OrderEvent/references/note", "text"), {WIDENING}),
    ("a plain word of the events more", more("messages/plain", "note"), {WIDENING}),
    ("a place is not searched any more", out("canaries/places/traces"), {WIDENING}),
    ("staff see a field more", more("staff/clerk-reads-amounts/fields", "lines"), {WIDENING}),
    ("staff may do more", more("staff/crew-prints-labels/actions", "see"), {WIDENING}),
    ("staff need no case", put("staff/clerk-reads-the-bill/needs_case", False), {WIDENING}),
    ("staff need a second one", put("staff/clerk-reads-the-bill/people", 2), {NARROWING}),
    ("a grant goes with its demands", out("staff/clerk-reads-the-bill"), {NARROWING}),
    ("mail without consent", put("mails/newsletter/needs_consent", False), {WIDENING}),
    ("mail that shows no way out", put("mails/newsletter/carries_way_out", False), {WIDENING}),
    ("mail to those who left", less("mails/announcement/stopped_by", "deactivated"), {WIDENING}),
    ("mail that stops for more", more("mails/announcement/stopped_by", "no_mailings"), {NARROWING}),
    ("a class of mail goes with its demands", out("mails/newsletter"), {NARROWING}),
    ("a kind of mail more", more("mails/announcement/kinds", "sale"), {WIDENING}),
    ("a class that promotes", put("mails/order/promotional", True), {WIDENING}),
    ("a part is not sealed any more", put("parts/contact/sealed", False), {WIDENING}),
    ("a field more is taken", put("parts/contact/fields/fax", {"category": "user.contact"}), {WIDENING}),
    ("a purpose more", put("purposes/adverts", {**DATA["purposes"]["newsletter"]}), {WIDENING}),
    ("a promise is declined", put("clauses/3/declined", "We changed our mind."), {WIDENING}),
    ("what must never be may be", less("never/card/names", "cvv"), {WIDENING}),
    ("a promise of the services goes", out("promises/erasure"), {WIDENING}),
    ("pseudonyms in one place more", more("canaries/pseudonymous_places", "metrics"), {WIDENING}),
    ("other words", put("clauses/3/statement", "Nobody else gets it."), {NEUTRAL}),
    ("another test", put("checks/erasure/test", "tests/other.py::test_it"), {NEUTRAL}),
    ("a column more", more("databases/tables/plumbing/inbox/plain", "seen"), {WIDENING}),
    ("a column less", less("databases/tables/plumbing/inbox/plain", "received_at"), {NARROWING}),
]


@pytest.mark.parametrize(("edit", "expected"), [pytest.param(edit, effects, id=name) for name, edit, effects in JUDGED])
def test_each_difference_is_judged_as_promised(edit: Edit, expected: set[Effect]) -> None:
    assert judged(edited(edit)) == expected


def judged(other: Policy) -> set[Effect]:
    """What the differences are; the wording that changes with every rule counts where it is all there is."""
    return {change.effect for change in difference(NOW, other)} - {NEUTRAL} or {NEUTRAL}


EDITED = [(name, edited(edit), expected) for name, edit, expected in JUDGED]


@pytest.mark.parametrize("kind", [kind for kind, sort in changes.SORTS.items() if sort is not Sort.WORDING])
def test_one_kind_judged_the_other_way_is_red(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of fact is some edit's: were it judged as another sort, one of the sentences above would be false."""
    other_sort = {"kept-days": Sort.WORDING}.get(kind, Sort.DUTY if changes.SORTS[kind] is Sort.PERMISSION else Sort.PERMISSION)
    monkeypatch.setattr(changes, "SORTS", {**changes.SORTS, kind: other_sort})
    assert any(judged(other) != expected for _, other, expected in EDITED)


def test_what_people_read_is_material_and_no_more() -> None:
    told = difference(NOW, edited(put("addenda/A-01/statement", "Sixty days."), put("checks/erasure/red", "tests/o.py::test_it")))
    assert [change.is_material for change in told] == [True, False]
    assert [change.key for change in material(told)] == [("wording", "addenda", "A-01", "statement")]
    assert widenings(told) == ()


def test_another_date_alone_is_no_other_policy() -> None:
    dated = edited(put("version", "2027-01-01"), put("text/last_modified", "2027-01-01"))
    assert not is_another_policy(difference(NOW, dated))
    assert is_another_policy(difference(NOW, edited(put("text/sha256", "0"))))
    assert difference(NOW, NOW) == ()


# ── any policy ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, it in inner:
        found += _paths(it, (*path, name))
    return found


PATHS = _paths(DATA)
BY_SECTION = {section: [path for path in PATHS if path[0] == section] for section in DATA}
WORDS = (
    "name",
    "email",
    "order_news",
    "improve",
    "contact",
    "recipient",
    "shipping",
    "orders",
    "none_given",
    "deactivated",
    "keep",
    "",
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Today's policy after up to four edits anywhere in it, whether it is sound or not."""
    data = copy.deepcopy(DATA)
    for _ in range(draw(st.integers(0, 4))):
        path = draw(st.sampled_from(BY_SECTION[draw(st.sampled_from(sorted(BY_SECTION)))]))
        before = copy.deepcopy(data)
        _edit(data, path, draw(st.sampled_from(["out", "put", "double"])), draw(st.sampled_from(WORDS)))
        try:
            Policy.model_validate(data)
        except ValidationError:
            data = before
    return Policy.model_validate(data)


def _edit(data: Any, path: tuple[str | int, ...], how: str, word: str) -> None:
    for step in path[:-1]:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return  # an earlier edit took it away
    last = path[-1]
    if not isinstance(data, dict | list) or (last not in data if isinstance(data, dict) else int(last) >= len(data)):
        return
    stands = data[last]
    if how == "out":
        del data[last]
    elif how == "double" and isinstance(data, dict):
        data[f"{last}-again" if not str(last).isdecimal() else int(last) + 100] = copy.deepcopy(stands)
    elif isinstance(stands, bool):
        data[last] = not stands
    elif isinstance(stands, int):
        data[last] = stands + 1
    elif isinstance(stands, str):
        data[last] = word
    elif isinstance(stands, list):
        data[last] = [*stands, word]


def normal(policy: Policy) -> str:
    """The policy without the order in which things stand, and without what stands twice in a list."""

    def of(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(name): of(inner) for name, inner in value.items()}
        return sorted({json.dumps(of(it), sort_keys=True) for it in value}) if isinstance(value, list) else value

    return json.dumps(of(policy.model_dump(mode="json")), sort_keys=True)


FEW = settings(max_examples=25, deadline=None)


@FEW
@given(policies(), policies())
def test_the_way_back_swaps_widening_and_narrowing(one: Policy, other: Policy) -> None:
    there = {change.key: change for change in difference(one, other)}
    back = {change.key: change for change in difference(other, one)}
    assert there.keys() == back.keys()
    for key, change in there.items():
        assert back[key].effect is OPPOSITE[change.effect]
        assert (back[key].before, back[key].after) == (change.after, change.before)


@FEW
@given(policies())
def test_no_difference_goes_unjudged(other: Policy) -> None:
    told = difference(NOW, other)
    assert all(isinstance(change.effect, Effect) for change in told)
    if normal(other) != normal(NOW):
        assert told, "they differ, and nobody says so"
    if told:
        assert normal(other) != normal(NOW)


@FEW
@given(policies(), policies(), policies())
def test_two_steps_hide_no_widening_and_make_none(one: Policy, middle: Policy, last: Policy) -> None:
    def wider(a: Policy, b: Policy) -> set[changes.Key]:
        return {change.key for change in widenings(difference(a, b))}

    assert wider(one, last) <= wider(one, middle) | wider(middle, last)
    # What the changes of both steps say, done to the first, is the last.
    done = dict(facts(one))
    for change in (*difference(one, middle), *difference(middle, last)):
        done.pop(change.key, None)
        if change.after is not None:
            done[change.key] = change.after
    assert done == facts(last)


def test_the_kinds_of_today_s_facts_are_all_judged_and_used() -> None:
    assert set(Counter(key[0] for key in facts(NOW))) == set(changes.SORTS)


# ── no member without a rule ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_member_of_a_policy_has_one_rule_of_change() -> None:
    assert change_rules.unruled() == frozenset()
    assert frozenset(change_rules.JUDGED_BY) | change_rules.WORDED == frozenset(change_rules.members())
    assert not frozenset(change_rules.JUDGED_BY) & change_rules.WORDED
    assert {kind for kinds in change_rules.JUDGED_BY.values() for kind in kinds} <= set(changes.SORTS)


# What may stand somewhere in a policy; an edit that makes none is passed over.
OTHERS: tuple[object, ...] = (
    *(
        "another",
        "none_given",
        "smtp",
        "GET",
        "form",
        "release",
        "keep",
        "keyed_hash",
        "never",
        "keyring",
        "documents",
        "friend",
        "broker",
    ),
    *("tests/a.py::test_b", ["another"], [], True, False, 1, 2, None),
    *({"another": "text"}, {"another": ["another"]}, {"another": {"another": {"another": "text"}}}),
)


@pytest.mark.parametrize("member", sorted(set(change_rules.members())), ids="-".join)
def test_a_change_of_any_member_is_told_by_its_kinds_or_is_of_words_alone(member: change_rules.Member) -> None:
    """The table says which kinds tell of a member: edit it in several ways that are still a policy, and look."""
    kinds = set(change_rules.JUDGED_BY.get(member, ()))
    found = set()
    for other in _otherwise(member):
        told = difference(NOW, other)
        found |= {change.key[0] for change in told if change.effect is not NEUTRAL}
        assert kinds or {change.effect for change in told} == {NEUTRAL}
    assert kinds <= found


def _otherwise(member: change_rules.Member) -> list[Policy]:
    section = member[0]
    data = {**DATA, "pending": {"fresh": {"awaits": "it"}}}
    path = next(it for it in _paths(data[section], (section,)) if _member_of(it) == member) if len(member) > 1 else member
    found: list[Policy] = []
    for value in OTHERS:
        if len(found) > 1:
            break
        edited_section = copy.deepcopy({section: data[section]})
        try:
            put("/".join(map(str, path)), value)(edited_section)
            found.append(Policy.model_validate({**DATA, **edited_section}))
        except ValidationError:
            continue
        if found[-1] == NOW:
            found.pop()
    assert found, "no edit of it is a policy: its rule cannot be tried"
    return found


MEMBERS = sorted(set(change_rules.members()), key=len, reverse=True)  # of two that fit a path the longer one stands there


def _member_of(path: tuple[str | int, ...]) -> change_rules.Member | None:
    """The member that stands at a path: the path without the file's own names."""
    for member in MEMBERS:
        if member[0] == path[0] and member[-1] == path[-1] and _fits(member[1:], path[1:]):
            return member
    return None


def _fits(member: change_rules.Member, path: tuple[str | int, ...]) -> bool:
    left = list(member)
    for step in path:
        if left and step == left[0]:
            left.pop(0)
    return not left and len(path) <= 2 * len(member) + 1


def test_a_member_that_nobody_has_ruled_widens(monkeypatch: pytest.MonkeyPatch) -> None:
    ruled = {member: kinds for member, kinds in change_rules.JUDGED_BY.items() if member != ("broker", "plugins")}
    monkeypatch.setattr(change_rules, "JUDGED_BY", ruled)
    monkeypatch.setattr(changes, "SORTS", {kind: sort for kind, sort in changes.SORTS.items() if kind != "broker-plugin"})
    for edit in (more("broker/plugins", "rabbitmq_shovel"), less("broker/plugins", "cowlib")):
        told = difference(NOW, edited(edit))
        assert {change.key[0] for change in widenings(told)} == {"unjudged", "broker-plugin"}
        assert {change.effect for change in told} - {NEUTRAL} == {WIDENING}


# ── in words, and side by side ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [name for name, _, expected in JUDGED if WIDENING in expected])
def test_every_widening_has_a_sentence_of_the_policy_s_own(name: str) -> None:
    other = next(it for its, it, _ in EDITED if its == name)
    told = notices.widened(difference(NOW, other), NOW, other)
    statements = [*(it.statement for section in _STATED for policy in (NOW, other) for it in getattr(policy, section).values())]
    assert told
    assert all(any(it in sentence for it in statements) or any(it in sentence for it in IN_SHORT) for sentence in told)


IN_SHORT = ("no place here before", *notices._IN_SHORT.values())
_STATED = ("purposes", "parts", "parties", "clauses", "promises", "guards")


def test_a_narrowing_and_other_words_are_noticed_and_ask_nobody() -> None:
    other = edited(less("holds/contact-for-news/fields", "name"), put("addenda/A-01/statement", "Sixty days."))
    told = difference(NOW, other)
    assert notices.widened(told, NOW, other) == []
    said = notices.noticed(told, NOW, other)
    assert any("Sixty days." in it for it in said)
    assert any(it.startswith("No longer so") for it in said)


def version(folder: Path, name: str, *, told: str | None = None) -> Path:
    text = POLICY_FILE.read_text("utf-8").replace('version: "2013-08-19"', f'version: "{told or name}"')
    file = folder / f"{name}.yaml"
    file.write_text(text, "utf-8")
    return file


def test_versions_stand_side_by_side_and_today_s_stays_the_current_one(tmp_path: Path) -> None:
    version(tmp_path, "2027-01-01")
    known = load_versions(tmp_path)
    assert list(known) == ["2013-08-19", "2027-01-01"]
    assert known["2013-08-19"] is load()
    assert load_versions(tmp_path / "nowhere") == load_versions()


@pytest.mark.parametrize(("name", "told"), [("2027-01-01", "2027-01-02"), ("next", "next"), ("2013-08-19", "2013-08-19")])
def test_a_file_that_is_not_what_its_name_says_is_refused(name: str, told: str, tmp_path: Path) -> None:
    file = version(tmp_path, name, told=told)
    file.write_text(file.read_text("utf-8").replace("Nothing", "No thing").replace("Cookies", "Biscuits"), "utf-8")
    with pytest.raises(VersionsRefused):
        load_versions(tmp_path)
