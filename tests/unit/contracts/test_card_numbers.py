from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.storefront import holds_card_number

# The card companies' published test numbers: nobody's cards.
CARDS = {
    "visa_16": "4111111111111111",
    "visa_13": "4222222222222",
    "visa_19": "4000000000000000006",
    "mastercard": "5555555555554444",
    "mastercard_2_series": "2223003122003222",
    "american_express": "378282246310005",
    "american_express_34": "343434343434343",
    "diners_30": "30569309025904",
    "diners_38": "38520000023237",
    "diners_36_16": "3622720627166700",
    "discover": "6011111111111117",
    "discover_65": "6510000000000000",
    "jcb": "3530111333300000",
    "jcb_15": "180000000000002",
    "unionpay": "6200000000000005",
    "unionpay_19": "6205500000000000004",
    "maestro_12": "675900000000",
    "maestro_16": "6759649826438453",
    "maestro_18": "500000000000000005",
}


def luhn_digit(digits: str) -> str:
    total = 0
    for index, digit in enumerate(reversed(digits)):
        doubled = int(digit) * 2 if index % 2 == 0 else int(digit)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def completed(number: str) -> str:
    """The number with its last digit made right, so that a sample needs only its range to be true."""
    return number[:-1] + luhn_digit(number[:-1])


@pytest.mark.parametrize("brand", CARDS)
def test_every_brand_is_seen_and_its_misprint_is_not(brand: str) -> None:
    number = completed(CARDS[brand])
    assert holds_card_number(number)
    assert not holds_card_number(number[:-1] + str((int(number[-1]) + 1) % 10))


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "4111-1111 11111111",
        "card: 4111111111111111.",
        "(4111111111111111)",
        "2 x 4111111111111111 7",
        "12 4111111111111111",
        "4111111111111111 123",
        "_4111111111111111_",
        "４１１１１１１１１１１１１１１１",
        "٤١١١١١١١١١١١١١١١",
        "4111\u00a01111\u20091111\u30001111",
        "4111\u20131111\u20141111\u22121111",
        "4111\u200b1111\u00ad1111\u20101111",
        "a\n4111111111111111\nb",
        "4111111111111112 4111111111111111",
    ],
)
def test_what_looks_like_a_card_number(text: str) -> None:
    assert holds_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4111111111111112",
        "41111111111111111",
        "x4111111111111111",
        "4111111111111111x",
        "é4111111111111111",
        "4111  1111  1111  1111",
        "4111\n1111\n1111\n1111",
        "4111.1111.1111.1111",
        "4111/1111/1111/1111",
        "9111111111111111",
        "0000000000000000",
        "411111111111",
        "1234567890128",
        "+1 303 555 0142",
        "0" * 5_000,
    ],
)
def test_what_does_not(text: str) -> None:
    assert not holds_card_number(text)


def test_every_visa_length_but_only_those() -> None:
    seen = {length for length in range(8, 25) if holds_card_number(completed("4" + "1" * (length - 1)))}
    assert seen == {13, 16, 19}


def test_a_hostile_text_is_searched_whole() -> None:
    # All on one run of single digits: a search that looked back from every digit would not end.
    assert not holds_card_number("1 " * 50_000)
    assert holds_card_number("1 " * 50_000 + "4111111111111111")


@given(separators=st.lists(st.sampled_from(["", " ", "-", "\u2007", "\u2011", "\uff0d"]), min_size=15, max_size=15))
def test_any_single_separators(separators: list[str]) -> None:
    number = CARDS["visa_16"]
    assert holds_card_number("".join(digit + gap for digit, gap in zip(number, [*separators, ""], strict=True)))


@given(st.text(max_size=200))
def test_no_text_is_too_strange(text: str) -> None:
    assert holds_card_number(text) in {True, False}
