"""Labels are sound PDFs whatever the address is written in, and their bars say the tracking number."""

from __future__ import annotations

import io
import re

import pypdf
import pytest
from barcode.charsets import code128
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sandbox.carrier.label_pdf import label_pdf, symbols
from deploy.sandbox.carrier.tracking import tracking_number


def _label(*recipient: str, layout: str = "4x6", number: str = "1ZSNDBX10300000017") -> bytes:
    return label_pdf(sender=["Shop"], recipient=recipient, service="ups ground", tracking_number=number, layout=layout)


def _read(pdf: bytes) -> str:
    (page,) = pypdf.PdfReader(io.BytesIO(pdf), strict=True).pages
    return page.extract_text()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Ana Müller", "Ana Müller"),
        ("Łukasz Żółć", "Lukasz Zólc"),
        ("山田太郎", "????"),
        ("(a) \\ b", "(a) \\ b"),
        ("one\ntwo", "one two"),
        ("€ 5", "€ 5"),
    ],
)
def test_a_name_is_shown_as_well_as_the_fonts_can(written: str, shown: str) -> None:
    assert shown in _read(_label(written))


@settings(max_examples=30)
@given(st.text(max_size=60))
def test_no_text_breaks_the_file(text: str) -> None:
    pdf = _label(text)
    starts = [int(place) for place in re.findall(rb"^(\d{10}) 00000 n ", pdf, re.MULTILINE)]
    assert [pdf[place : place + 7] for place in starts] == [b"%d 0 obj" % number for number in range(1, 7)]
    assert "TRACKING" in _read(pdf)


@pytest.mark.parametrize(
    ("layout", "size"), [("4x6", (288, 432)), ("A4", (595, 842)), ("letter", (612, 792)), ("A6", (298, 420))]
)
def test_the_page_has_the_layouts_size(layout: str, size: tuple[int, int]) -> None:
    (page,) = pypdf.PdfReader(io.BytesIO(_label("A", layout=layout))).pages
    assert (page.mediabox.width, page.mediabox.height) == size


def test_the_bars_follow_code_128() -> None:
    # The usual worked example has check 54 from code set A's start, 103; code set B's is one more, and so is the check.
    assert symbols("PJJ123C") == [104, 48, 42, 42, 17, 18, 19, 35, 55, len(code128.CODES)]


def test_the_drawn_bars_are_those_of_the_symbols() -> None:
    pdf = _label("A", number="PJJ123C")
    drawn = pdf.partition(b" cm 0 0 ")[2].partition(b" Q")[0].decode()
    modules = ""
    for symbol in ("0 0 " + drawn).split(" f 1 0 0 1 11 0 cm"):
        cells = [" "] * 13
        for place, width in re.findall(r"(\d+) 0 (\d+) 1 re", symbol):
            cells[int(place) : int(place) + int(width)] = "1" * int(width)
        modules += "".join(cells).rstrip().ljust(11).replace(" ", "0") if symbol.strip() else ""
    expected = "".join(code128.CODES[symbol] for symbol in symbols("PJJ123C")[:-1]) + code128.STOP + "11"
    assert modules == expected


def test_tracking_numbers_are_distinct_and_carry_their_check_digit() -> None:
    numbers = [tracking_number(serial) for serial in range(1, 500)]
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch(r"1ZSNDBX103\d{8}", number) for number in numbers)
    # A number published as an example of UPS's form, 1Z 999 AA1 01 2345 6784, has the same check by the same rule.
    digits = "999AA10123456784"
    values = [int(sign) if sign.isdecimal() else (ord(sign) - 63) % 10 for sign in digits[:-1]]
    assert -sum((1 + place % 2) * value for place, value in enumerate(values)) % 10 == int(digits[-1])
    assert {tracking_number(serial)[:-1] + str(_check(tracking_number(serial))) for serial in range(1, 50)} <= set(numbers)


def _check(number: str) -> int:
    values = [int(sign) if sign.isdecimal() else (ord(sign) - 63) % 10 for sign in number[2:-1]]
    return -(sum(values[0::2]) + 2 * sum(values[1::2])) % 10
