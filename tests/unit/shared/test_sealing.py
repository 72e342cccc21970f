"""A part is readable by one service alone: boxes. The keys that open them: tests/integration/test_intake_keys.py."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.public import PrivateKey

from shared.sealing import BoxUnopenable, box_bytes, seal, seal_to_base64, unseal

CANARY = b"canary-personal"


def a_key() -> tuple[PrivateKey, str]:
    private = PrivateKey.generate()
    return private, base64.b64encode(bytes(private.public_key)).decode()


# ── boxes ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.binary(max_size=300))
def test_what_was_sealed_is_opened_by_its_key_alone(plaintext: bytes) -> None:
    private, public = a_key()
    box = seal_to_base64(plaintext, public)
    assert unseal(box_bytes(box), private) == plaintext
    with pytest.raises(BoxUnopenable):
        unseal(box_bytes(box), PrivateKey.generate())


def test_the_same_part_sealed_twice_is_two_boxes() -> None:
    _, public = a_key()
    assert seal(CANARY, public) != seal(CANARY, public)


@given(st.data())
def test_a_changed_box_is_not_opened(data: st.DataObject) -> None:
    private, public = a_key()
    box = bytearray(seal(CANARY, public))
    box[data.draw(st.integers(0, len(box) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BoxUnopenable):
        unseal(bytes(box), private)


@given(st.binary(max_size=100))
def test_what_is_no_box_is_refused_without_a_word_of_it(box: bytes) -> None:
    with pytest.raises(BoxUnopenable) as caught:
        unseal(box, PrivateKey.generate())
    assert (caught.value.code, str(caught.value)) == ("box_unopenable", "box_unopenable at /")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("box", ["====", "a", "Zoë", "ab+c_-", " Ym94", "Ym94\n", "Ym94!"])
def test_what_is_no_base64_is_no_box(box: str) -> None:
    with pytest.raises(BoxUnopenable):
        box_bytes(box)
