"""Pick lists on paper: A4, black on white, for the hands of the person who walks the shelves.

A pick list holds what is needed to find the goods and nothing else. `PickList` has no field for a price, a name, an address,
an e-mail address or a payment, so none can be printed (privacy policy, clauses 10 and 12).
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from barcode.codex import Code128
from fpdf import FPDF

from services.shipping.typesetting import MM_PER_POINT, Face, Setting, Typesetter, system_faces

_LEFT, _RIGHT, _TOP, _BOTTOM = 12.0, 198.0, 14.0, 279.0  # mm; A4 is 210 by 297
_WIDTH = _RIGHT - _LEFT
_NUMBER_X, _SKU_X, _TITLE_X, _QUANTITY_RIGHT = 24.0, 34.0, 82.0, 196.0
_SKU_WIDTH, _TITLE_WIDTH = 45.0, 88.0
_BODY_PT, _SMALL_PT, _QUANTITY_PT = 11.0, 8.5, 20.0
_LEADING = 5.0
_ROW_LEAST, _ROW_PADDING, _DEPARTMENT_HEIGHT, _TABLE_HEAD_HEIGHT = 12.0, 5.5, 10.0, 8.0
_TOTAL_HEIGHT = 18.0

_DOTS_PER_MM = 600 / 25.4  # bars as whole dots of a 600 dpi printer stay even
_MODULE_MAX_DOTS = 12  # 0.51 mm: a short number need not fill the page
_PAGE_WIDTH, _BARCODE_WIDTH = (
    210.0,
    190.0,
)  # 64 signs in modules of 0.25 mm, and still more than ten modules of quiet on each side
_BARCODE_HEIGHT = 18.0
_BARCODE_SIGNS = frozenset(string.ascii_letters + string.digits + string.punctuation + " ")


@dataclass(frozen=True, slots=True)
class PickLine:
    """One line to pick. `personalisation` is always None: what a buyer had engraved stays sealed until packing, and is on no paper."""

    line: int
    sku: str
    title: str
    department: str
    quantity: int
    personalisation: None = None


@dataclass(frozen=True, slots=True)
class PickList:
    """What one sheet (or several) asks to be fetched: catalogue words and numbers only."""

    pick_list: str
    order_number: str
    issued_at: datetime
    shipping_service: str
    lines: tuple[PickLine, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """A line with its text already broken, or a department's heading (`line` is None)."""

    height: float
    title: Setting
    sku: Setting
    line: PickLine | None = None


def render_pick_list(pick_list: PickList, faces: Sequence[Face] | None = None) -> bytes:
    """Print a pick list: takes the list, gives a PDF of as many A4 pages as it needs.

    Lines stand in the order of the walk: by department, then sku, then line number. Any text prints: signs for which no font
    is at hand are counted in their place. `faces` are the fonts for other scripts than Latin, the system's where left out.
    The same list gives the same bytes; safe to repeat. Raises ValueError where `issued_at` has no time zone.
    """
    if pick_list.issued_at.tzinfo is None:
        raise ValueError("issued_at needs a time zone")
    return _Sheet(pick_list, system_faces() if faces is None else faces).print()


class _Sheet:
    def __init__(self, pick_list: PickList, faces: Sequence[Face]) -> None:
        self._list = pick_list
        self._issued_at = pick_list.issued_at.astimezone(UTC)
        self._pdf = FPDF(format="A4")
        self._pdf.set_auto_page_break(auto=False)
        self._pdf.set_creation_date(self._issued_at)
        self._pdf.set_title("Pick list")
        self._pdf.set_lang("en")
        self._type = Typesetter(self._pdf, faces)

    def print(self) -> bytes:
        pages = self._pages()
        for number, rows in enumerate(pages, start=1):
            self._pdf.add_page()
            y = self._first_head() if number == 1 else self._later_head()
            y = self._table_head(y)
            for row in rows:
                self._row(row, y)
                y += row.height
            if number == len(pages):
                self._total(y)
            self._foot(number, len(pages))
        return bytes(self._pdf.output())

    # What goes where: measured first, so that every page can say how many there are.

    def _rows(self) -> list[tuple[_Row, list[_Row]]]:
        walk = sorted(self._list.lines, key=lambda line: (line.department.casefold(), line.department, line.sku, line.line))
        return [
            (self._department(name), [self._line(line) for line in lines])
            for name, lines in groupby(walk, key=lambda line: line.department)
        ]

    def _department(self, name: str) -> _Row:
        title = self._type.set(name or "No department", _WIDTH, _BODY_PT, bold=True, max_lines=4)
        return _Row(_DEPARTMENT_HEIGHT + (len(title.lines) - 1) * _LEADING, title, Setting(()))

    def _line(self, line: PickLine) -> _Row:
        title = self._type.set(line.title, _TITLE_WIDTH, _BODY_PT)
        sku = self._type.set(line.sku, _SKU_WIDTH, _BODY_PT, bold=True)
        height = max(_ROW_LEAST, max(len(title.lines), len(sku.lines)) * _LEADING + _ROW_PADDING)
        return _Row(height, title, sku, line)

    def _pages(self) -> list[list[_Row]]:
        pages: list[list[_Row]] = [[]]
        room = _BOTTOM - self._first_head(draw=False) - _TABLE_HEAD_HEIGHT
        fresh = _BOTTOM - self._later_head(draw=False) - _TABLE_HEAD_HEIGHT
        for heading, rows in self._rows():
            wanted: list[_Row] = [heading]
            for row in rows:
                wanted.append(row)
                height = sum(one.height for one in wanted)
                if height > room and pages[-1]:
                    # The next page begins with its department again: a sheet that falls out of the pile still makes sense.
                    pages.append([])
                    wanted, room = [heading, row], fresh
                    height = heading.height + row.height
                pages[-1] += wanted
                room -= height
                wanted = []
        if room < _TOTAL_HEIGHT:
            pages.append([])
        return pages

    # The parts of a page; each takes the upper edge in mm and gives the lower one.

    def _first_head(self, *, draw: bool = True) -> float:
        size = self._type.fit_pt(self._number(), _WIDTH, 40, bold=True)
        y = _TOP + 4 + size * MM_PER_POINT + 3
        after = y + _BARCODE_HEIGHT + 21
        if not draw:
            return after
        self._type.draw("PICK LIST", _LEFT, _TOP, _SMALL_PT, bold=True)
        self._type.draw(self._number(), _LEFT, _TOP + 2 + size * 0.8 * MM_PER_POINT + 2, size, bold=True)
        self._barcode(y)
        self._facts(y + _BARCODE_HEIGHT + 8)
        return after

    def _facts(self, y: float) -> None:
        facts = (
            ("Pick list", self._list.pick_list, 62.0),
            ("Issued", f"{self._issued_at:%Y-%m-%d %H:%M} UTC", 44.0),
            ("Shipping service", self._list.shipping_service, 50.0),
            ("Pieces", f"{self._pieces():,}", 28.0),
        )
        x = _LEFT
        for name, value, width in facts:
            (text,) = self._type.set(value, 10_000, _BODY_PT, bold=True, max_lines=1).lines or ("",)
            self._type.draw(name, x, y, _SMALL_PT)
            self._type.draw(text, x, y + 5.5, self._type.fit_pt(text, width - 3, _BODY_PT + 1, bold=True), bold=True)
            x += width

    def _later_head(self, *, draw: bool = True) -> float:
        if draw:
            size = self._type.fit_pt(self._number(), _WIDTH, 18, bold=True)
            self._type.draw(self._number(), _LEFT, _TOP + 4, size, bold=True)
        return _TOP + 10

    def _table_head(self, y: float) -> float:
        baseline = y + 4.5
        for text, x in (("Line", _NUMBER_X), ("SKU", _SKU_X), ("Title", _TITLE_X)):
            self._type.draw(text, x, baseline, _SMALL_PT)
        self._from_right("Quantity", _QUANTITY_RIGHT, baseline, _SMALL_PT)
        self._rule(y + _TABLE_HEAD_HEIGHT - 1, 0.5)
        return y + _TABLE_HEAD_HEIGHT

    def _row(self, row: _Row, y: float) -> None:
        if row.line is None:
            self._block(row.title, _LEFT, y + 6.5, _WIDTH, bold=True)
            self._rule(y + row.height - 1, 0.3)
            return
        baseline = y + 7.0
        self._pdf.set_line_width(0.4)
        self._pdf.rect(_LEFT + 1, y + 2.4, 6.5, 6.5)
        self._type.draw(str(row.line.line), _NUMBER_X, baseline, _BODY_PT)
        self._block(row.sku, _SKU_X, baseline, _SKU_WIDTH, bold=True)
        self._block(row.title, _TITLE_X, baseline, _TITLE_WIDTH)
        quantity = str(row.line.quantity)
        size = self._type.fit_pt(quantity, _QUANTITY_RIGHT - _TITLE_X - _TITLE_WIDTH - 3, _QUANTITY_PT, bold=True)
        left = self._from_right(quantity, _QUANTITY_RIGHT, y + 8.3, size, bold=True)
        if row.line.quantity > 1:  # more than one is what tired hands miss: framed
            self._pdf.set_line_width(0.6)
            self._pdf.rect(left - 1.7, y + 1.4, _QUANTITY_RIGHT - left + 3.4, 8.6)
        self._rule(y + row.height - 0.4, 0.1)

    def _total(self, y: float) -> None:
        self._rule(y - 0.4, 0.5)
        pieces, lines = self._pieces(), len(self._list.lines)
        words = f"{lines:,} {'line' if lines == 1 else 'lines'}, {pieces:,} {'piece' if pieces == 1 else 'pieces'} in total"
        self._from_right(words, _QUANTITY_RIGHT, y + 9, 14, bold=True)

    def _foot(self, number: int, pages: int) -> None:
        y = 287.0
        (text,) = self._type.set(f"Pick list {self._list.pick_list}", _WIDTH - 40, _SMALL_PT, max_lines=1).lines
        self._type.draw(text, _LEFT, y, _SMALL_PT)
        self._from_right(f"Page {number} of {pages}", _QUANTITY_RIGHT, y, _SMALL_PT)

    def _barcode(self, y: float) -> None:
        """Code 128 (ISO/IEC 15417) of the order number, as wide as fits: 64 signs still stand in modules of 0.25 mm."""
        number = self._list.order_number
        if not number or not _BARCODE_SIGNS.issuperset(number):
            return
        modules = Code128(number).build()[0]
        dots = min(_MODULE_MAX_DOTS, int(_BARCODE_WIDTH * _DOTS_PER_MM / len(modules)))
        if dots < 1:
            return
        module = dots / _DOTS_PER_MM
        x = min(_LEFT, (_PAGE_WIDTH - len(modules) * module) / 2)  # the page's margin is the quiet zone
        for bar, group in groupby(modules):
            width = len(list(group)) * module
            if bar == "1":
                self._pdf.rect(x, y, width, _BARCODE_HEIGHT, style="F")
            x += width

    def _block(self, text: Setting, x: float, baseline: float, width: float, *, bold: bool = False) -> None:
        for number, line in enumerate(text.lines):
            shift = width - self._type.width_mm(line, _BODY_PT, bold=bold) if text.from_the_right else 0.0
            self._type.draw(line, x + shift, baseline + number * _LEADING, _BODY_PT, bold=bold)

    def _from_right(self, text: str, right: float, baseline: float, size_pt: float, *, bold: bool = False) -> float:
        left = right - self._type.width_mm(text, size_pt, bold=bold)
        self._type.draw(text, left, baseline, size_pt, bold=bold)
        return left

    def _rule(self, y: float, width_mm: float) -> None:
        self._pdf.set_line_width(width_mm)
        self._pdf.line(_LEFT, y, _RIGHT, y)

    def _number(self) -> str:
        return self._type.set(self._list.order_number, 100_000, 10, max_lines=1).lines[0]

    def _pieces(self) -> int:
        return sum(line.quantity for line in self._list.lines)
