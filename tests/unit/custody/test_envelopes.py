"""An envelope opens with its own key, in its own place, as it was: anything else is refused."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.custody.envelopes import Envelope, EnvelopeBroken, PartName, close, open_

KEY = bytes(range(32))
NAME = PartName("https://one.example", "c-1", "A-1", "recipient")
SERVICE, VERSION, FORM = "shipping", "2013-08-19", "part"
TEXT = b'{"name": "somebody"}'
OTHER_PLACES = {
    "another shop": (SERVICE, NAME._replace(shop="https://two.example")),
    "another person": (SERVICE, NAME._replace(customer_id="c-2")),
    "another order": (SERVICE, NAME._replace(order_number="A-2")),
    "another part": (SERVICE, NAME._replace(part="contact")),
    "another service": ("notifications", NAME),
    # The same letters, cut elsewhere.
    "a border moved": (SERVICE, NAME._replace(customer_id="c-", order_number="1A-1")),
}


def sealed(text: bytes = TEXT) -> Envelope:
    return close(KEY, text, SERVICE, NAME, VERSION, FORM)


@given(st.binary(max_size=300))
def test_what_was_closed_is_opened_as_it_was(text: bytes) -> None:
    assert open_(KEY, sealed(text), SERVICE, NAME) == text
    assert open_(KEY, Envelope.of_json(sealed(text).as_json()), SERVICE, NAME) == text


@given(st.binary(max_size=300))
def test_lengths_are_told_in_steps_alone(text: bytes) -> None:
    box = sealed(text).box
    assert (len(box) - 12 - 16) % 64 == 0
    assert len(box) == len(sealed(b"x" * (len(text) // 64 * 64)).box)


@pytest.mark.parametrize("place", OTHER_PLACES.values(), ids=OTHER_PLACES)
def test_in_another_place_it_is_refused(place: tuple[str, PartName]) -> None:
    with pytest.raises(EnvelopeBroken):
        open_(KEY, sealed(), *place)


@pytest.mark.parametrize("changed", [{"policy_version": "2027-01-01"}, {"form": "label"}])
def test_under_another_version_or_as_another_form_it_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(EnvelopeBroken):
        open_(KEY, replace(sealed(), **changed), SERVICE, NAME)


def test_with_another_key_it_is_refused() -> None:
    with pytest.raises(EnvelopeBroken):
        open_(bytes(32), sealed(), SERVICE, NAME)


def test_every_byte_that_is_flipped_or_cut_is_refused() -> None:
    envelope = sealed()
    for place in range(len(envelope.box)):
        for bit in (0x01, 0x80):
            box = bytearray(envelope.box)
            box[place] ^= bit
            with pytest.raises(EnvelopeBroken):
                open_(KEY, replace(envelope, box=bytes(box)), SERVICE, NAME)
        with pytest.raises(EnvelopeBroken):
            open_(KEY, replace(envelope, box=envelope.box[:place]), SERVICE, NAME)


def test_ten_thousand_of_the_same_all_differ() -> None:
    boxes = {sealed().box for _ in range(10_000)}
    assert len(boxes) == 10_000
    assert len({box[:12] for box in boxes}) == 10_000, "no nonce comes twice"


@pytest.mark.parametrize(
    "value", [{}, {"box": "====", "policy_version": "v", "form": "part"}, {"box": 7, "policy_version": "v", "form": "part"}]
)
def test_what_is_no_envelope_is_refused_without_a_word_of_it(value: dict[str, str]) -> None:
    with pytest.raises(EnvelopeBroken) as caught:
        Envelope.of_json(value)
    assert str(caught.value) == "envelope_broken"


def test_nothing_of_the_part_is_seen_from_outside() -> None:
    text = os.urandom(8).hex().encode()
    envelope = sealed(text)
    assert text not in envelope.box
    assert text.decode() not in repr(envelope)
