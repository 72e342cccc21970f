"""A shipping label as a one-page PDF, written by hand: two built-in fonts, a Code 128 barcode, nothing else.

It is cheap on purpose (tens of microseconds), for labels are bought by the thousand under load.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby

from barcode.charsets import code128

_POINTS = {"4x6": (288, 432), "letter": (612, 792), "A4": (595, 842), "A6": (298, 420)}
"""Page sizes by ShipEngine's `label_layout`, in points."""

_FONTS = (b"Helvetica", b"Helvetica-Bold")
_MODULE_POINTS = 1.0
_BARCODE_HEIGHT_POINTS = 70


def label_pdf(
    *, sender: Sequence[str], recipient: Sequence[str], service: str, tracking_number: str, layout: str = "4x6"
) -> bytes:
    """Draw one label. Lines of text outside Windows' Latin-1 lose their accents, or become question marks.

    `layout` is one of ShipEngine's (KeyError otherwise); `tracking_number` must be printable ASCII (KeyError otherwise).
    """
    width, height = _POINTS[layout]
    top = height - 24
    parts = ["BT"]
    for index, line in enumerate(sender[:5]):
        parts.append(_text(1, 8, 16, top - 10 * index, line))
    parts.append(_text(2, 18, 16, top - 78, service.upper()[:24]))
    parts.append(_text(1, 8, 16, top - 104, "SHIP TO"))
    for index, line in enumerate(recipient[:7]):
        parts.append(_text(2 if index == 0 else 1, 12, 28, top - 120 - 15 * index, line))
    parts.append(_text(2, 11, 16, top - 338, f"TRACKING {tracking_number}"))
    parts.append(_text(1, 7, 16, top - 392, "SANDBOX - NOT VALID FOR POSTAGE"))
    parts.append("ET")
    parts.append(f"12 {top - 58} {width - 24} 1 re 12 {top - 88} {width - 24} 1 re f")
    parts.append(_bars(tracking_number, (width - _MODULE_POINTS * (11 * (len(tracking_number) + 3) + 2)) / 2, top - 326))
    return _file(" ".join(parts).encode("cp1252", "replace"), width, height)


def _text(font: int, size: int, x: float, y: float, line: str) -> str:
    escaped = _plain(line).replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"/F{font} {size} Tf 1 0 0 1 {x} {y} Tm ({escaped}) Tj"


def _plain(line: str) -> str:
    """What the built-in fonts can show of a line: control characters go, letters lose accents the code page lacks."""
    line = line[:48]
    if not line.isascii():
        try:
            line.encode("cp1252")
        except UnicodeEncodeError:
            line = "".join(_character(character) for character in line)
    if line.isprintable():
        return line
    return "".join(character if character.isprintable() else " " for character in line)


_STROKED = str.maketrans("ŁłĐđĦħıĿŀŦŧ", "LlDdHhiLlTt")
"""Letters whose stroke or dot Unicode does not take apart."""


@lru_cache(maxsize=4096)
def _character(character: str) -> str:
    try:
        character.encode("cp1252")
    except UnicodeEncodeError:
        simple = unicodedata.normalize("NFKD", character.translate(_STROKED)).encode("ascii", "ignore").decode()
        return simple or ("" if unicodedata.combining(character) else "?")
    return character


@lru_cache(maxsize=128)
def _symbol(number: int) -> str:
    """Draw one Code 128 symbol one unit high, and move on by its eleven modules."""
    modules = code128.STOP + "11" if number == len(code128.CODES) else code128.CODES[number]
    bars = []
    place = 0
    for colour, run in groupby(modules):
        width = len(list(run))
        if colour == "1":
            bars.append(f"{place} 0 {width} 1 re")
        place += width
    return " ".join(bars) + " f 1 0 0 1 11 0 cm"


def symbols(text: str) -> list[int]:
    """Code 128 (ISO/IEC 15417) in code set B: the start, each character, the check symbol, the stop symbol.

    The stop symbol is the number after the last code. Raises KeyError for what code set B has not.
    """
    values = [code128.START_CODES["B"], *(code128.B[character] for character in text)]
    check = (values[0] + sum(place * value for place, value in enumerate(values[1:], 1))) % 103
    return [*values, check, len(code128.CODES)]


def _bars(text: str, x: float, y: float) -> str:
    drawn = " ".join(map(_symbol, symbols(text)))
    return f"q {_MODULE_POINTS:g} 0 0 {_BARCODE_HEIGHT_POINTS} {x:g} {y} cm {drawn} Q"


def _file(content: bytes, width: int, height: int) -> bytes:
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Resources<</Font<</F1 4 0 R/F2 5 0 R>>>>/Contents 6 0 R>>"
        % (width, height),
        *(b"<</Type/Font/Subtype/Type1/BaseFont/%b/Encoding/WinAnsiEncoding>>" % font for font in _FONTS),
        b"<</Length %d>>stream\n%b\nendstream" % (len(content), content),
    ]
    pdf = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(pdf))
        pdf += b"%d 0 obj%b\nendobj\n" % (number, body)
    start = len(pdf)
    pdf += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for place in places:
        pdf += b"%010d 00000 n \n" % place
    pdf += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(pdf)
