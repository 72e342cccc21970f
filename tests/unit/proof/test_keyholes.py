"""What is sealed is found wherever it lies whole, and only its own key opens it."""

from __future__ import annotations

import json
import os
from base64 import b64encode, urlsafe_b64encode

import pytest
from nacl.public import PrivateKey, SealedBox

from shared.custody.envelopes import PartName, close
from shared.policy import load
from tests.proof.cast import Cast
from tests.proof.keyholes import Keys, Name, names_of, opened_box, opened_envelope, sealed_in
from tests.proof.markers import Mint

BOX = os.urandom(200)
TEXT = b64encode(BOX).decode()
SEALED = {"sealed_for": "shipping", "key_id": "shipping-2026-48-ab12", "box": TEXT}
ENVELOPE = {"box": TEXT, "policy_version": "2013-08-19", "form": "part"}


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(SEALED).encode(),
        json.dumps(SEALED, separators=(",", ":")).encode(),
        json.dumps({"body": json.dumps(SEALED)}).encode(),
        json.dumps({"box": urlsafe_b64encode(BOX).decode()}).encode(),
        b"\x01box" + b"form" + b"policy_version" + TEXT.encode() + b"part2013-08-19\x00",
        b"\x01box" + b"form" + b"policy_version" + TEXT.encode() + b"label2013-08-19\x00",
        b"\x01box" + b"form" + b"policy_version" + TEXT.encode() + b"reply2013-08-19\x00",
        b"\x01box" + b"key_id" + b"sealed_for" + TEXT.encode() + b"shipping-2026-48-ab12shipping",
    ],
)
@pytest.mark.parametrize("length", [198, 199, 200])  # with and without padding
def test_what_lies_whole_is_found(data: bytes, length: int) -> None:
    text = data.replace(TEXT.encode(), b64encode(BOX[:length])).replace(urlsafe_b64encode(BOX), urlsafe_b64encode(BOX[:length]))
    assert sealed_in(b"\xff" * 9 + text + b"\xff" * 9) == {BOX[:length]}


@pytest.mark.parametrize("data", [json.dumps(SEALED).encode()[:-60], json.dumps({"bow": TEXT}).encode(), b'"box":"c2hvcnQ="'])
def test_what_was_cut_off_or_is_something_else_is_not(data: bytes) -> None:
    assert sealed_in(data) == set()


def test_a_box_opens_with_its_private_half_alone() -> None:
    key, other = PrivateKey.generate(), PrivateKey.generate()
    sealed = SealedBox(key.public_key).encrypt(b"somebody")
    assert opened_box(sealed, [bytes(other), bytes(key)]) == b"somebody"
    assert opened_box(sealed, [bytes(other), os.urandom(32)]) is None


def test_an_envelope_opens_with_its_key_under_its_name_alone() -> None:
    key = os.urandom(32)
    name = Name("shipping", PartName("https://one.example", "m-1", "A-1", "recipient"), "part")
    envelope = close(key, b"somebody", "shipping", name.part, load().version, "part")
    assert opened_envelope(envelope.box, [os.urandom(32), key], name) == b"somebody"
    assert opened_envelope(envelope.box, [os.urandom(32)], name) is None
    elsewhere = Name("shipping", name.part._replace(customer_id="m-2"), "part")
    assert opened_envelope(envelope.box, [key], elsewhere) is None


def test_what_wrapped_keys_give_counts_as_keys() -> None:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from shared.custody.keys import KeyName
    from shared.custody.master import Wrapped
    from shared.custody.vault import part_key_context

    master, part_key, nonce = os.urandom(32), os.urandom(32), os.urandom(12)
    where = ("shipping", KeyName("person", "item", "recipient"))
    wrapped = {where: Wrapped("m", nonce + AESGCM(master).encrypt(nonce, part_key, part_key_context(*where)))}
    assert Keys(raw={master}).with_what_they_unwrap(wrapped) == {master, part_key}
    assert Keys(raw={part_key}).with_what_they_unwrap(wrapped) == {part_key}


def test_every_part_of_everybody_has_a_name() -> None:
    people = Cast(Mint()).people  # three parts of an order, and a friend and a request of whoever entrusts them; three forms each
    names = list(names_of(people.values()))
    assert (
        len(names)
        == len(set(names))
        == len(people) * 9 + 6 * sum(person.uses >= {"friend", "request"} for person in people.values())
    )
