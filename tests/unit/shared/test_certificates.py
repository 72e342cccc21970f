"""A certificate proves what it says, and nothing once a single thing of it is changed. A receipt is its signer's."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders.requests import Kind
from shared.contracts.person_events import SignedReceipt
from shared.custody.certificates import prove
from shared.custody.receipts import ReceiptUnsigned, Signer, canonical, key_id_of, read_receipt
from tests.builders import AT
from tests.unit.orders.people import HOLDERS, POLICY, Bureau, asks

Whole = dict[str, Any]


def certificate_of(bureau: Bureau, **told: Any) -> Whole:
    bureau.take(asks("customer_erasure_requested", request_id="r-1"))
    for deed in ("deactivated", "erased"):
        for service in HOLDERS:
            bureau.note(bureau.receipt(service, bureau.request(Kind.ERASURE), deed, **told))
            bureau.at += timedelta(seconds=1)
    certificate = bureau.request(Kind.ERASURE).certificate
    assert certificate is not None
    return certificate


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
    "another policy": (putting(policy_version="1999-01-01"), "it was made under policy 1999-01-01, and this is 2013-08-19"),
    "an earlier date": (
        putting(unreadable_by_anybody_from="2026-03-06T09:00:00Z"),
        "its dates are not those of its receipts",
    ),
    "another request": (putting(request="r-2"), "shipping: a receipt of something else"),
    "another shop": (putting(shop="https://elsewhere.example"), "orders: a receipt of something else"),
}


def test_what_orders_makes_is_proved_and_its_dates_are_the_receipts(bureau: Bureau) -> None:
    proof = prove(certificate_of(bureau), POLICY)
    assert proof.faults == ()
    assert (proof.request, proof.holders) == ("r-1", ("notifications", "orders", "payments", "shipping"))
    assert proof.unreadable_by_us_since == AT + timedelta(seconds=5)
    assert proof.unreadable_by_anybody_from == AT + timedelta(seconds=5, days=14)


@pytest.mark.parametrize("name", CHANGES)
def test_one_change_even_signed_by_orders_itself_is_named(name: str, bureau: Bureau) -> None:
    change, fault = CHANGES[name]
    assert fault in prove(forged(certificate_of(bureau), change, bureau.desk.names.signer), POLICY).faults


def test_a_certificate_of_another_signer_proves_nothing(bureau: Bureau) -> None:
    certificate = certificate_of(bureau)
    stranger = Signer("orders", b"\x05" * 32)
    assert "the signature of orders is not right" in prove(forged(certificate, lambda _: None, stranger), POLICY).faults
    keys = [{"service": stranger.service, "key_id": stranger.key_id, "public_key": stranger.public_key}]
    assert "the signature of orders is not right" in prove(certificate, POLICY, keys).faults, "only keys that are trusted count"


def test_something_that_was_left_is_named(bureau: Bureau) -> None:
    faults = prove(certificate_of(bureau, rows_after={"recipients": 1}), POLICY).faults
    assert faults == ("notifications: something was left", "payments: something was left", "shipping: something was left")


@pytest.mark.parametrize("nonsense", [{}, {"signed": {}}, {"signed": {"service": "orders"}}])
def test_what_is_no_certificate_proves_nothing(nonsense: Whole) -> None:
    assert prove(nonsense, POLICY).faults == ("the certificate is not whole",)


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
