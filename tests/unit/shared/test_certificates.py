"""A certificate proves what it says, and nothing once a single thing of it is changed. A receipt is its signer's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.person_events import SignedReceipt
from shared.custody.certificates import NO_TRUSTED_KEYS, prove
from shared.custody.receipts import ReceiptUnsigned, Signer, canonical, key_id_of, read_receipt
from tests.builders import AT
from tests.unit.orders.people import HOLDERS, POLICY, Bureau, certificate_of, public_key_of

Whole = dict[str, Any]

POLICIES = {POLICY.version: POLICY}


@pytest.fixture
def bureau() -> Bureau:
    return Bureau()


def forged(certificate: Whole, change: Callable[[Whole], None], signer: Signer) -> Whole:
    """The certificate with something changed inside, signed by somebody, with the public keys that would fit."""
    whole = json.loads(json.loads(certificate["signed"]["receipt"])["certificate"])
    change(whole)
    return {"signed": signer.sign({"deed": "certified", "certificate": canonical(whole)}).model_dump()}


def without(name: str, service: str) -> Callable[[Whole], None]:
    def change(whole: Whole) -> None:
        whole[name] = [one for one in whole[name] if one["service"] != service]

    return change


def putting(**members: Any) -> Callable[[Whole], None]:
    return lambda whole: whole.update(members)


def dropping_a_holder(whole: Whole) -> None:
    del whole["holders"]["payments"]
    without("receipts", "payments")(whole)
    without("frozen", "payments")(whole)


CHANGES: dict[str, tuple[Callable[[Whole], None], str]] = {
    "a receipt is missing": (without("receipts", "shipping"), "shipping: no receipt of its erasure"),
    "a freeze is missing": (without("frozen", "payments"), "payments: no receipt that the person was frozen first"),
    "a holder is left out": (dropping_a_holder, "its holders are not those that the policy names"),
    "another policy": (putting(policy_version="1999-01-01"), "it was made under policy 1999-01-01, which is not known here"),
    "an earlier date": (
        putting(unreadable_by_anybody_from="2026-03-06T09:00:00Z"),
        "its dates are not those of its receipts",
    ),
    "another request": (putting(request="r-2"), "shipping: a receipt of something else"),
    "another shop": (putting(shop="https://elsewhere.example"), "orders: a receipt of something else"),
}


def test_what_orders_makes_is_proved_and_its_dates_are_the_receipts(bureau: Bureau) -> None:
    proof = prove(certificate_of(bureau), POLICIES, bureau.public_keys())
    assert proof.faults == ()
    assert (proof.request, proof.holders) == ("r-1", ("notifications", "orders", "payments", "shipping"))
    assert proof.unreadable_by_us_since == AT + timedelta(seconds=5)
    assert proof.unreadable_by_anybody_from == AT + timedelta(seconds=5, days=14)


@pytest.mark.parametrize("name", CHANGES)
def test_one_change_even_signed_by_orders_itself_is_named(name: str, bureau: Bureau) -> None:
    change, fault = CHANGES[name]
    assert fault in prove(forged(certificate_of(bureau), change, bureau.desk.names.signer), POLICIES, bureau.public_keys()).faults


def test_a_certificate_of_another_signer_proves_nothing(bureau: Bureau) -> None:
    certificate = certificate_of(bureau)
    stranger = Signer("orders", b"\x05" * 32)
    again = forged(certificate, lambda _: None, stranger)
    assert "the signature of orders is not right" in prove(again, POLICIES, bureau.public_keys()).faults
    keys = [public_key_of(stranger)]
    assert "the signature of orders is not right" in prove(certificate, POLICIES, keys).faults, "only keys that are trusted count"


def test_something_that_was_left_is_named(bureau: Bureau) -> None:
    faults = prove(certificate_of(bureau, rows_after={"recipients": 1}), POLICIES, bureau.public_keys()).faults
    assert faults == ("notifications: something was left", "payments: something was left", "shipping: something was left")


def test_times_are_compared_as_times_and_not_as_text(bureau: Bureau) -> None:
    certificate = certificate_of(bureau, timedelta(milliseconds=200))  # as text, a whole second is behind its own parts
    proof = prove(certificate, POLICIES, bureau.public_keys())
    assert proof.faults == ()
    assert proof.unreadable_by_anybody_from == AT + timedelta(seconds=1, days=14)


def test_a_certificate_alone_proves_nothing_however_well_its_own_keys_fit(bureau: Bureau) -> None:
    assert prove(certificate_of(bureau), POLICIES, None).faults == (NO_TRUSTED_KEYS,)


@pytest.mark.parametrize("service", HOLDERS)
def test_no_other_service_signs_for_orders(service: str, bureau: Bureau) -> None:
    certificate = certificate_of(bureau)
    for signer in (bureau.signers[service], Signer("orders", hashlib.sha256(service.encode()).digest())):
        again = forged(certificate, lambda _: None, signer)
        assert "the signature of orders is not right" in prove(again, POLICIES, bureau.public_keys()).faults


def test_what_orders_signed_for_another_deed_is_no_certificate(bureau: Bureau) -> None:
    inner = json.loads(certificate_of(bureau)["signed"]["receipt"])["certificate"]
    signed = bureau.desk.names.signer.sign({"deed": "noted", "certificate": inner}).model_dump()
    assert prove({"signed": signed}, POLICIES, bureau.public_keys()).faults == ("it was signed as something else",)


WRONG: dict[str, Any] = {
    "request": "r-2",
    "kind": "copy",
    "shop": "https://elsewhere.example",
    "policy_version": "1999-01-01",
    "holders": {"orders": []},
    "received_at": "2099-01-01T00:00:00Z",
    "erased_at": "2026-03-06T09:00:00Z",
    "unreadable_by_us_since": "2026-03-06T09:00:00Z",
    "unreadable_by_anybody_from": "2026-03-06T09:00:00Z",
    "frozen": [],
    "receipts": [],
}


def test_every_member_of_a_certificate_counts_though_orders_signs_it_anew(bureau: Bureau) -> None:
    certificate = certificate_of(bureau)
    members = set(json.loads(json.loads(certificate["signed"]["receipt"])["certificate"]))
    assert members == {*WRONG, "keys"}, "its own keys are not believed, so they need not be right"
    for member, value in WRONG.items():
        for change in (putting(**{member: value}), lambda whole, member=member: whole.pop(member)):
            assert prove(forged(certificate, change, bureau.desk.names.signer), POLICIES, bureau.public_keys()).faults, member


MISTOLD: dict[str, list[Any]] = {
    "deed": ["deactivated", "noted"],
    "shop": ["https://elsewhere.example"],
    "kind": ["copy"],
    "request": ["r-2"],
    "at": ["2026-03-06T08:00:00Z", "2099-01-01T00:00:00Z"],
    "keys_left": [1, None, "0", False],
    "rows_after": [{}, {"rows": 1}, {"rows": None}, [], None],
    "last_backup_gone_at": ["2099-01-01T00:00:00Z"],
}


@pytest.mark.parametrize("service", [*HOLDERS, "orders"])
@pytest.mark.parametrize("member", MISTOLD)
def test_every_member_of_a_receipt_counts_though_its_holder_signs_it_anew(service: str, member: str, bureau: Bureau) -> None:
    certificate, signers = certificate_of(bureau), {**bureau.signers, "orders": bureau.desk.names.signer}

    def telling(change: Callable[[Whole], Any]) -> Callable[[Whole], None]:
        def changed(whole: Whole) -> None:
            for place, one in enumerate(whole["receipts"]):
                if one["service"] == service:
                    told = json.loads(one["receipt"])
                    change(told)
                    whole["receipts"][place] = signers[service].sign(told).model_dump()

        return changed

    changes: list[Callable[[Whole], Any]] = [lambda told, value=value: told.update({member: value}) for value in MISTOLD[member]]
    if (service, member) != ("orders", "last_backup_gone_at"):  # it has no keys, and so no backup of one
        changes.append(lambda told: told.pop(member))
    for change in changes:
        assert prove(forged(certificate, telling(change), bureau.desk.names.signer), POLICIES, bureau.public_keys()).faults


@pytest.mark.parametrize("where", ["receipts", "frozen"])
@pytest.mark.parametrize("service", HOLDERS)
def test_no_holder_signs_for_another(service: str, where: str, bureau: Bureau) -> None:
    other = bureau.signers[HOLDERS[HOLDERS.index(service) - 1]]

    def signing_for(signer: Signer) -> Callable[[Whole], None]:
        def change(whole: Whole) -> None:
            for place, one in enumerate(whole[where]):
                if one["service"] == service:
                    whole[where][place] = {**signer.sign(json.loads(one["receipt"])).model_dump(), "service": service}

        return change

    certificate = certificate_of(bureau)
    for signer in (other, Signer(service, hashlib.sha256(other.service.encode()).digest())):
        again = forged(certificate, signing_for(signer), bureau.desk.names.signer)
        assert f"{service}: the signature is not right" in prove(again, POLICIES, bureau.public_keys()).faults


def test_a_receipt_of_no_holder_and_one_too_many_are_named(bureau: Bureau) -> None:
    stranger = Signer("analytics", b"\x07" * 32)

    def one_more(whole: Whole) -> None:
        told = json.loads(whole["receipts"][0]["receipt"])
        whole["receipts"] += [whole["receipts"][0], stranger.sign(told).model_dump()]

    again = forged(certificate_of(bureau), one_more, bureau.desk.names.signer)
    faults = prove(again, POLICIES, [*bureau.public_keys(), public_key_of(stranger)]).faults
    assert "analytics: a receipt of one that is no holder" in faults
    assert any("two receipts of one deed" in fault for fault in faults)


@pytest.mark.parametrize("nonsense", [{}, {"signed": {}}, {"signed": {"service": "orders"}}])
def test_what_is_no_certificate_proves_nothing(nonsense: Whole) -> None:
    assert prove(nonsense, POLICIES, []).faults == ("the certificate is not whole",)


@given(st.binary(min_size=32, max_size=32), st.data())
def test_a_receipt_is_its_signer_s_to_the_letter(seed: bytes, data: st.DataObject) -> None:
    signer = Signer("shipping", seed)
    signed = signer.sign({"deed": "erased", "at": AT})
    assert read_receipt(signed, signer.public_key) == {"deed": "erased", "at": "2026-03-06T09:00:00Z", "service": "shipping"}
    place = data.draw(st.integers(0, len(signed.receipt) - 1))
    letter = data.draw(st.characters(codec="ascii").filter(lambda it: it != signed.receipt[place]))
    changed = signed.receipt[:place] + letter + signed.receipt[place + 1 :]
    with pytest.raises(ReceiptUnsigned):
        read_receipt(signed.model_copy(update={"receipt": changed}), signer.public_key)


def test_a_key_s_name_holds_its_digest_and_the_service(bureau: Bureau) -> None:
    signer, other = Signer("shipping", b"\x01" * 32), Signer("payments", b"\x02" * 32)
    signed = signer.sign({})
    assert signer.key_id == key_id_of("shipping", signer.public_key)
    assert Signer("shipping", b"\x01" * 32).key_id == signer.key_id
    for wrong in ({"key_id": other.key_id}, {"service": "payments"}):
        with pytest.raises(ReceiptUnsigned):
            read_receipt(SignedReceipt(**{**signed.model_dump(), **wrong}), signer.public_key)
    with pytest.raises(ReceiptUnsigned):
        read_receipt(signed, other.public_key)


def test_a_certificate_of_an_earlier_version_is_held_against_that(bureau: Bureau) -> None:
    later = POLICY.model_copy(update={"version": "2030-01-01"})
    certificate = certificate_of(bureau)
    assert prove(certificate, {**POLICIES, later.version: later}, bureau.public_keys()).faults == ()
    assert prove(certificate, {later.version: later}, bureau.public_keys()).faults != ()
