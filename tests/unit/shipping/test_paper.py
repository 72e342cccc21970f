"""What stands on a pick list, what never does, and that no text whatever keeps one from being printed."""

from __future__ import annotations

import io
import json
import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path

import pytest
from barcode.charsets import code128
from fpdf import FPDF
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from services.shipping import typesetting
from services.shipping.paper import PickLine, PickList, render_pick_list
from services.shipping.typesetting import HELVETICA, Face, Typesetter, system_faces

MM = 72 / 25.4
ISSUED_AT = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)
BAND = PickLine(1, "BND-ELV-007", "Elvish band, size 9", "Elvish", 1)
PLIERS = PickLine(2, "PLR-0042", "Chain-nose pliers", "Pliers & Cutters", 12)
BLNS = Path(__file__).resolve().parents[4] / "shared" / "data" / "hostile" / "blns" / "blns.json"
HEBREW = Face("hebrew", Path("nowhere.ttf"), {chr(code): 600 for code in range(0x5D0, 0x5EB)})


def pick_list(*lines: PickLine, order_number: str = "AJ-100042") -> PickList:
    return PickList("PL-2026-000317", order_number, ISSUED_AT, "ground", lines or (BAND, PLIERS))


def pages(pdf: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]


def contents(pdf: bytes) -> list[str]:
    return [page.get_contents().get_data().decode("latin-1") for page in PdfReader(io.BytesIO(pdf)).pages]  # type: ignore[union-attr]


def read_barcode(content: str) -> tuple[str, float, float, float]:
    """The text of the Code 128 drawn on a page, its module in mm and the quiet zones left and right of it in mm."""
    found = re.findall(r"([\d.]+) ([\d.]+) ([\d.]+) (-?[\d.]+) re f\b", content)
    bars = sorted((float(x), float(width)) for x, _, width, _ in found)
    module = min(width for _, width in bars)
    modules = ""
    for (x, width), (following, _) in pairwise([*bars, (bars[-1][0] + bars[-1][1], 0.0)]):
        modules += "1" * round(width / module) + "0" * round((following - x - width) / module)
    # The smallest bar is rounded to a hundredth of a point; the whole says it better.
    module = (bars[-1][0] + bars[-1][1] - bars[0][0]) / len(modules)
    symbols, end = modules[: -len(code128.STOP) - 2], modules[-len(code128.STOP) - 2 :]
    assert end == code128.STOP + "11"
    start, *values, checksum = [code128.CODES.index(symbols[at : at + 11]) for at in range(0, len(symbols), 11)]
    assert checksum == (start + sum(weight * value for weight, value in enumerate(values, 1))) % 103
    text, in_c = "", start == 105
    for value in values:
        if value in (99, 100):
            in_c = value == 99
        else:
            text += f"{value:02}" if in_c else chr(value + 32)
    return text, module / MM, bars[0][0] / MM, 210 - (bars[-1][0] + bars[-1][1]) / MM


def test_a_pick_list_has_no_field_for_anything_personal() -> None:
    assert {one.name for one in fields(PickList)} == {"pick_list", "order_number", "issued_at", "shipping_service", "lines"}
    assert {one.name for one in fields(PickLine)} == {"line", "sku", "title", "department", "quantity", "personalisation"}
    assert next(one for one in fields(PickLine) if one.name == "personalisation").type == "None"


def test_the_page_names_what_to_fetch() -> None:
    (page,) = pages(render_pick_list(pick_list()))
    for words in ("AJ-100042", "PL-2026-000317", "2026-11-22 10:15 UTC", "ground", "Page 1 of 1", "2 lines, 13 pieces in total"):
        assert words in page
    for line in (BAND, PLIERS):
        for words in (line.sku, line.title, line.department, f"{line.line} {line.sku} {line.title} {line.quantity}\n"):
            assert words in page


def test_every_word_on_the_page_comes_from_the_list_or_is_a_label() -> None:
    labels = "PICK LIST Pick list Issued Shipping service Pieces Line SKU Title Quantity Page of lines, pieces in total UTC"
    given_words = (
        f"AJ-100042 PL-2026-000317 ground 2026-11-22 10:15 {BAND} {PLIERS} {BAND.title} {PLIERS.title} Pliers & Cutters Elvish"
    )
    allowed = {*labels.split(), *re.split(r"[\s'=]+", given_words), BAND.sku, PLIERS.sku, "1", "2", "12", "13"}
    (page,) = pages(render_pick_list(pick_list()))
    assert set(page.split()) - allowed == set()


def test_an_engraving_that_is_smuggled_in_is_not_printed() -> None:
    line = PickLine(1, "BND-ELV-007", "Elvish band", "Elvish", 1, "Canary-A-and-J")  # type: ignore[arg-type]
    pdf = render_pick_list(pick_list(line))
    assert "Canary" not in pages(pdf)[0]
    assert b"Canary" not in pdf


def test_lines_stand_in_the_order_of_the_walk() -> None:
    lines = (
        PickLine(1, "B-2", "third", "Beads", 1),
        PickLine(2, "Z-9", "last", "Wire", 1),
        PickLine(3, "A-1", "first", "Beads", 1),
        PickLine(4, "A-1", "second", "Beads", 1),
    )
    (page,) = pages(render_pick_list(pick_list(*lines)))
    assert re.findall("first|second|third|last|Beads|Wire", page) == ["Beads", "first", "second", "third", "Wire", "last"]


@pytest.mark.parametrize(
    "order_number",
    ["7", "AJ-100042", "20261122000017", "A12345", "a~b_c.d-E", "1a22b333c4444d55555", "x" * 64, "12345a" * 10 + "7890"],
)
def test_the_barcode_reads_as_the_order_number(order_number: str) -> None:
    (content,) = contents(render_pick_list(pick_list(order_number=order_number)))
    text, module, left, right = read_barcode(content)
    assert text == order_number
    assert module >= 0.19  # the least that ordinary readers are sold for
    assert min(left, right) >= 10 * module
    assert left >= 10  # no printer reaches the very edge


def test_a_number_of_the_greatest_length_keeps_wide_bars() -> None:
    _, module, _, _ = read_barcode(contents(render_pick_list(pick_list(order_number="x" * 64)))[0])
    assert module == pytest.approx(0.254, abs=0.001)


def test_a_number_that_code_128_cannot_write_prints_without_bars() -> None:
    (content,) = contents(render_pick_list(pick_list(order_number="№ 5"), faces=()))
    assert not re.search(r"re f\b", content)
    assert "[1 sign] 5" in content


def test_two_thousand_lines_print_once_each_under_a_head_on_every_page() -> None:
    lines = tuple(PickLine(number, f"SKU-{number:05}", f"Jump ring {number}", "Rings", 3) for number in range(1, 2001))
    drawn = [re.findall(r"\((.*?)\) Tj", content) for content in contents(render_pick_list(pick_list(*lines)))]
    skus = [text for texts in drawn for text in texts if text.startswith("SKU-")]
    assert skus == [line.sku for line in lines]
    for number, texts in enumerate(drawn, start=1):
        assert {"AJ-100042", "SKU", "Title", "Quantity", "Rings", f"Page {number} of {len(drawn)}"} <= set(texts)
    assert "2,000 lines, 6,000 pieces in total" in drawn[-1]


@pytest.mark.parametrize("count", range(1, 40))
def test_whatever_the_number_of_lines_all_and_the_total_fit_the_page(count: int) -> None:
    lines = tuple(PickLine(number, f"S{number}", "T", "D", 1) for number in range(1, count + 1))
    drawn = [re.findall(r"BT [\d.]+ ([\d.]+) Td.*?\((.*?)\) Tj", page) for page in contents(render_pick_list(pick_list(*lines)))]
    lowest = [min(float(y) for y, text in page if not text.startswith(("Page", "Pick list PL"))) for page in drawn]
    assert min(lowest) > (297 - 283) * MM
    assert any(text.endswith("in total") for _, text in drawn[-1])


def test_the_longest_texts_stay_on_the_paper() -> None:
    lines = tuple(PickLine(number, "W" * 64, "W" * 500, "W" * 100, 99_999) for number in range(1, 6))
    for content in contents(render_pick_list(pick_list(*lines, order_number="W" * 64))):
        for x, y in re.findall(r"BT ([\d.-]+) ([\d.-]+) Td", content):
            assert 10 * MM < float(x) < 200 * MM
            assert 8 * MM < float(y) < 287 * MM


def test_a_text_without_end_is_cut_instead_of_running_off_the_page() -> None:
    (content,) = contents(render_pick_list(pick_list(PickLine(1, "S", "word " * 20_000, "D", 1))))
    assert content.count("(word word") == 30


def test_signs_without_a_font_are_counted_in_their_place() -> None:
    (page,) = pages(render_pick_list(pick_list(PickLine(1, "S", "Ring 田中さん, size 9", "工具", 1)), faces=()))
    assert "Ring [4 signs], size 9" in page
    assert "[2 signs]" in page


def test_typographic_signs_of_western_europe_need_no_font() -> None:
    (page,) = pages(render_pick_list(pick_list(PickLine(1, "S", "Žižka’s “ring” – 5 € für Zoë", "D", 1)), faces=()))
    assert "Žižka’s “ring” – 5 € für Zoë" in page


def test_other_scripts_print_with_the_systems_font() -> None:
    if not any("א" in face.widths for face in system_faces()):
        pytest.skip("no system font holds Greek, Cyrillic and Hebrew here (Debian: fonts-dejavu-core)")
    (page,) = pages(render_pick_list(pick_list(PickLine(1, "S", "Привет κόσμε", "טבעת", 1))))
    assert "Привет κόσμε" in page
    assert set("טבעת") <= set(page)


def test_a_broken_font_file_counts_as_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    monkeypatch.setattr(typesetting, "_FONT_FOLDERS", (tmp_path,))
    monkeypatch.setattr(typesetting, "_FONT_FILES", ("broken.ttf", "missing.ttf"))
    assert typesetting.system_faces.__wrapped__() == ()


def test_text_from_right_to_left_is_set_in_visual_order() -> None:
    setting = Typesetter(FPDF(), (HEBREW,)).set("שלום (ring) 9", 100, 11)
    assert setting.lines == ("9 (ring) םולש",)
    assert setting.from_the_right


def test_brackets_are_mirrored_among_letters_from_right_to_left() -> None:
    assert Typesetter(FPDF(), (HEBREW,)).set("א(ב)ג", 100, 11).lines == ("ג(ב)א",)


def test_invisible_controls_cannot_reorder_a_title() -> None:
    assert Typesetter(FPDF(), ()).set("ring \u202eevil\u202c\x00\u2028end", 100, 11).lines == ("ring evil end",)


@given(st.text(max_size=150), st.sampled_from([9.0, 45.0, 88.0]))
@settings(deadline=None, max_examples=40)
def test_any_text_breaks_into_lines_that_fit(text: str, width_mm: float) -> None:
    typesetter = Typesetter(FPDF(), (HEBREW,))
    setting = typesetter.set(text, width_mm, 11)
    assert setting.lines
    assert all(typesetter.width_mm(line, 11) <= width_mm + 0.001 for line in setting.lines[:-1])


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=400))
@settings(deadline=None, max_examples=40)
def test_breaking_loses_no_letter(text: str) -> None:
    lines = Typesetter(FPDF(), ()).set(text, 30, 11, max_lines=1000).lines
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(st.lists(st.text(max_size=80), min_size=1, max_size=6))
@settings(deadline=None, max_examples=30)
def test_any_text_prints(texts: list[str]) -> None:
    lines = tuple(PickLine(number, text, text, text, 1) for number, text in enumerate(texts, start=1))
    assert render_pick_list(pick_list(*lines), faces=()).startswith(b"%PDF-")


def test_the_naughtiest_strings_print() -> None:
    if not BLNS.is_file():
        pytest.skip("the list of naughty strings is not beside the repository (../shared/data/hostile/blns)")
    strings: list[str] = json.loads(BLNS.read_text("utf-8"))
    lines = tuple(PickLine(number, f"S-{number}", text, text[:100], 1) for number, text in enumerate(strings, start=1))
    text = "".join(contents(render_pick_list(pick_list(*lines))))
    assert all(f"({line.sku}) Tj" in text for line in lines)


def test_nothing_to_pick_is_still_a_page() -> None:
    assert "0 lines, 0 pieces in total" in pages(render_pick_list(PickList("PL-1", "AJ-1", ISSUED_AT, "ground", ())))[0]


def test_printing_again_gives_the_same_bytes() -> None:
    elsewhere = PickList(
        "PL-2026-000317", "AJ-100042", ISSUED_AT.astimezone(timezone(timedelta(hours=-7))), "ground", (BAND, PLIERS)
    )
    assert render_pick_list(pick_list()) == render_pick_list(elsewhere)


def test_a_time_without_a_zone_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="time zone"):
        render_pick_list(PickList("PL-1", "AJ-1", datetime(2026, 11, 22), "ground", (BAND,)))  # noqa: DTZ001


def test_helvetica_knows_the_width_of_all_it_can_write() -> None:
    assert len(HELVETICA.widths) > 210
    assert HELVETICA.widths["€"] == 556
