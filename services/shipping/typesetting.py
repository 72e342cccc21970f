"""Setting text of any script on paper with the fonts at hand.

What WinAnsi (cp1252) can write is set in the PDF's own Helvetica, which embeds nothing and costs microseconds. Everything else
is set in the fonts that the system offers (`system_faces`): DejaVu (fonts-dejavu-core) for Latin, Greek, Cyrillic, Hebrew and
Arabic; for Chinese, Japanese and Korean one of the Debian packages fonts-droid-fallback, fonts-wqy-zenhei or fonts-unifont.
Signs that no font at hand can draw are counted on the paper (`[3 signs]`), never left out silently. No font is bundled.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby, islice
from pathlib import Path
from typing import cast

from fpdf import FPDF
from fpdf.bidi import BidiParagraph, auto_detect_base_direction
from fpdf.enums import TextDirection
from fpdf.fonts import CORE_FONTS_CHARWIDTHS, TTFFont

MM_PER_POINT = 25.4 / 72

_FONT_FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
_FONT_FILES = (  # in order of preference; all free to embed
    "truetype/dejavu/DejaVuSans.ttf",
    "truetype/droid/DroidSansFallbackFull.ttf",
    "truetype/wqy/wqy-zenhei.ttc",
    "opentype/unifont/unifont.otf",
)
_MAX_MARKS = 4  # combining marks kept on one letter: more than any living script needs, less than a column can be drowned in
_MIRRORED = str.maketrans("()[]{}<>«»‹›", ")(][}{><»«›‹")  # Unicode's rule L4, for the brackets that titles hold
_RTL_CLASSES = frozenset({"R", "AL", "AN"})


def _core_widths(font: str) -> dict[str, int]:
    widths = CORE_FONTS_CHARWIDTHS[font]
    decoded = {bytes([code]).decode("cp1252", "ignore"): widths[chr(code)] for code in range(0x20, 0x100) if code != 0x7F}
    return {sign: width for sign, width in decoded.items() if sign}


@dataclass(frozen=True, slots=True)
class Face:
    """One font: the family under which fpdf knows it, its file (None for Helvetica) and each sign's width in 1/1000 em."""

    family: str
    file: Path | None
    widths: Mapping[str, int] = field(repr=False)


HELVETICA = Face("helvetica", None, _core_widths("helvetica"))
_BOLD_WIDTHS = _core_widths("helveticaB")


@cache
def system_faces() -> tuple[Face, ...]:
    """The fonts found on this system for what Helvetica cannot write; read once per process, safe to repeat."""
    found = (folder / name for name in _FONT_FILES for folder in _FONT_FOLDERS if (folder / name).is_file())
    faces: list[Face] = []
    for file in found:
        with suppress(Exception):  # whatever a broken font file makes the reader raise, it counts as absent: printing goes on
            faces.append(_read_face(file))
    return tuple(faces)


def _read_face(file: Path) -> Face:
    reader = FPDF()
    reader.add_font("face", "", file)
    font = cast(TTFFont, reader.fonts["face"])
    return Face(file.stem.lower(), file, {chr(code): round(font.cw[code]) for code in font.cmap})


@dataclass(frozen=True, slots=True)
class Setting:
    """A text broken into lines, each in the order in which its signs stand on paper."""

    lines: tuple[str, ...]
    from_the_right: bool = False


class Typesetter:
    """Measures, breaks and draws text on one fpdf document.

    `faces` are tried in order for what Helvetica lacks. A face is embedded at its first use only.
    """

    def __init__(self, pdf: FPDF, faces: Sequence[Face]) -> None:
        pdf.core_fonts_encoding = "cp1252"
        self._pdf = pdf
        self._faces = faces
        self._embedded: set[str] = set()
        self._homes: dict[str, Face] = {}

    def width_mm(self, text: str, size_pt: float, *, bold: bool = False) -> float:
        """How wide one line of `text` stands."""
        return self._width(text, bold) * size_pt / 1000 * MM_PER_POINT

    def fit_pt(self, text: str, width_mm: float, largest_pt: float, *, bold: bool = False) -> float:
        """The size, `largest_pt` at most, at which `text` stands within `width_mm`."""
        wide = self.width_mm(text, largest_pt, bold=bold)
        return largest_pt if wide <= width_mm else largest_pt * width_mm / wide

    def set(self, text: str, width_mm: float, size_pt: float, *, bold: bool = False, max_lines: int = 30) -> Setting:
        """Break any text into lines of at most `width_mm`; control signs become spaces. Never fails, never gives no line.

        What is longer than `max_lines` ends in an ellipsis, so that no single text can run off the page.
        """
        clean = self._with_a_glyph(_printable(text))
        limit = width_mm / MM_PER_POINT / size_pt * 1000
        lines = list(islice(self._broken(clean, limit, bold), max_lines + 1))
        if len(lines) > max_lines:
            lines[max_lines - 1 :] = [lines[max_lines - 1][:-1] + "…"]
        if clean.isascii() or not any(unicodedata.bidirectional(sign) in _RTL_CLASSES for sign in clean):
            return Setting(tuple(lines))
        base = auto_detect_base_direction(clean)
        visual = tuple(_in_visual_order(line, base) for line in lines)
        return Setting(visual, from_the_right=base == TextDirection.RTL)

    def draw(self, line: str, x_mm: float, baseline_mm: float, size_pt: float, *, bold: bool = False) -> None:
        """Put one line of a `Setting`, or plain cp1252 text, with its left end at `x_mm`."""
        for face, signs in groupby(line, self._home):
            run = "".join(signs)
            if face.file is not None and face.family not in self._embedded:
                self._pdf.add_font(face.family, "", face.file)
                self._embedded.add(face.family)
            heavy = bold and face is HELVETICA
            self._pdf.set_font(face.family, "B" if heavy else "", size_pt)
            self._pdf.text(x_mm, baseline_mm, run)
            x_mm += self.width_mm(run, size_pt, bold=bold)

    def _home(self, sign: str) -> Face:
        face = self._homes.get(sign)
        if face is None:
            face = next((face for face in (HELVETICA, *self._faces) if sign in face.widths), HELVETICA)
            self._homes[sign] = face
        return face

    def _width(self, text: str, bold: bool) -> int:
        fast = _BOLD_WIDTHS if bold else HELVETICA.widths
        try:
            return sum([fast[sign] for sign in text])
        except KeyError:
            homes = ((sign, self._home(sign)) for sign in text)
            return sum(fast[sign] if home is HELVETICA else home.widths[sign] for sign, home in homes)

    def _with_a_glyph(self, text: str) -> str:
        """Count, in the text's own place, the signs that no font can draw."""
        if text.isascii():
            return text
        parts: list[str] = []
        for known, group in groupby(text, lambda sign: sign in self._home(sign).widths):
            signs = "".join(group)
            count = sum(1 for sign in signs if not unicodedata.combining(sign)) or len(signs)
            parts.append(signs if known else f"[{count} {'sign' if count == 1 else 'signs'}]")
        return "".join(parts)

    def _broken(self, text: str, limit: float, bold: bool) -> Iterator[str]:
        if self._width(text, bold) <= limit:
            yield text
            return
        line, room, space = "", limit, self._width(" ", bold)
        for word in text.split(" "):
            rest, wide = word, self._width(word, bold)
            if line and wide + space <= room:
                line, room = f"{line} {word}", room - wide - space
                continue
            if line:
                yield line
            while wide > limit and len(rest) > 1:
                head = self._head(rest, limit, bold)
                yield head
                rest = rest[len(head) :]
                wide = self._width(rest, bold)
            line, room = rest, limit - wide
        if line:
            yield line

    def _head(self, word: str, limit: float, bold: bool) -> str:
        taken = 0
        for end, sign in enumerate(word):
            taken += self._width(sign, bold)
            if taken > limit and end and not unicodedata.combining(sign):
                return word[:end]
        return word


def _in_visual_order(line: str, base: TextDirection) -> str:
    signs = BidiParagraph(line, base).get_reordered_characters()
    return "".join(sign.character.translate(_MIRRORED) if sign.embedding_level % 2 else sign.character for sign in signs)


def _printable(text: str) -> str:
    """One line of signs that can stand on paper: composed, no controls, no invisible format signs, no piles of marks."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    kept: list[str] = []
    marks = 0
    for sign in unicodedata.normalize("NFC", text):
        category = unicodedata.category(sign)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if category in ("Cc", "Cs", "Zl", "Zp"):
            kept.append(" ")
        elif category != "Cf" and marks <= _MAX_MARKS and not 0xFE00 <= ord(sign) <= 0xFE0F:
            kept.append(sign)
    return " ".join("".join(kept).split())
