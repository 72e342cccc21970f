"""Searches bytes for markers, in every encoding at once, also where lines were folded and what was compressed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from ahocorasick_rs import BytesAhoCorasick, Implementation

from tests.proof import encodings
from tests.proof.markers import Marker

T = TypeVar("T")
CHUNK_BYTES = 8 << 20
_OVERLAP_BYTES = 64 << 10
_BEFORE, _BEHIND = 64, 512  # of a root: no encoded marker is longer
_LOWER = bytes(range(256)).lower()
_COMPRESSED = BytesAhoCorasick([b"\x1f\x8b\x08", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"])
_MOST_COMPRESSED_BYTES, _MOST_OPENED_BYTES = 1 << 20, 4 << 20
_DEPTH = 2


@dataclass(frozen=True, slots=True)
class Sighting:
    """A marker that was found, and how it was written. `marker` is None where the root stood without what should follow it; `kind` is known."""

    marker: Marker | None
    encoding: str
    kind: str


class Scanner:
    """Made for the markers of a run. Every call is on its own; nothing that was read is kept."""

    def __init__(self, markers: Sequence[Marker]) -> None:
        self._markers = tuple(markers)
        kinds = {marker.root: marker.kind for marker in markers}
        names, words = _table((root, root) for root in kinds)
        self._roots = BytesAhoCorasick(words, implementation=Implementation.DFA)
        self._cut_off = [Sighting(None, encoding, kinds[root]) for root, encoding in names]

    def search(self, data: bytes) -> set[Sighting]:
        """Every marker in these bytes, and in what is compressed in them."""
        found: set[Sighting] = set()
        self._search(data, found, is_last=True, depth=_DEPTH)
        return found

    def search_file(self, path: Path) -> tuple[int, set[Sighting]]:
        """(bytes read, every marker in a file). Raises OSError."""
        found: set[Sighting] = set()
        read, kept = 0, b""
        with path.open("rb") as file:
            while fresh := file.read(CHUNK_BYTES):
                read += len(fresh)
                chunk = kept + fresh if kept else fresh
                is_last = len(fresh) < CHUNK_BYTES
                self._search(chunk, found, is_last=is_last, depth=_DEPTH)
                kept = b"" if is_last else chunk[-_OVERLAP_BYTES:]
        if kept:
            self._search(kept, found, is_last=True, depth=_DEPTH)
        return read, found

    def _search(self, chunk: bytes, found: set[Sighting], *, is_last: bool, depth: int) -> None:
        view = unfolded(chunk)
        # What begins near the end is seen whole with the next chunk.
        end = len(view) if is_last else len(view) - _BEHIND
        for number, start, stop in self._roots.find_matches_as_indexes(view, overlapping=True):
            if stop <= end:
                found |= self._named(view[max(0, start - _BEFORE) : stop + _BEHIND], self._cut_off[number])
        if depth:
            for inner in opened(chunk):
                self._search(inner, found, is_last=True, depth=depth - 1)

    def _named(self, window: bytes, cut_off: Sighting) -> set[Sighting]:
        matcher, names = self._whole
        hits = matcher.find_matches_as_indexes(window, overlapping=True)
        return {Sighting(*names[number], names[number][0].kind) for number, _, _ in hits} or {cut_off}

    @cached_property
    def _whole(self) -> tuple[BytesAhoCorasick, list[tuple[Marker, str]]]:
        """For every marker in every encoding: large, and asked about the few places where a root was found."""
        names, words = _table((marker, marker.text) for marker in self._markers)
        return BytesAhoCorasick(words), names


def _table(texts: Iterable[tuple[T, str]]) -> tuple[list[tuple[T, str]], list[bytes]]:
    names: list[tuple[T, str]] = []
    words: list[bytes] = []
    for of, text in texts:
        for encoding, its in encodings.patterns(text).items():
            for word in its:
                names.append((of, encoding))
                words.append(word)
    return names, words


def unfolded(data: bytes) -> bytes:
    """The same in lower case and without line breaks, soft ones of quoted-printable too: a marker that was folded is whole again."""
    if b"=\r\n" in data:
        data = data.replace(b"=\r\n", b"")
    if b"=\n" in data:
        data = data.replace(b"=\n", b"")
    return data.translate(_LOWER, b"\r\n")


def opened(data: bytes) -> Iterator[bytes]:
    """What was compressed by gzip or zlib, wherever in these bytes it begins; of each the first MiB, and at most 4 MiB of what comes out."""
    rest = memoryview(data)
    for _, start, _ in _COMPRESSED.find_matches_as_indexes(data):
        stream = zlib.decompressobj(wbits=47)
        plain = b""
        try:
            plain = stream.decompress(rest[start : start + _MOST_COMPRESSED_BYTES], _MOST_OPENED_BYTES)
        except zlib.error:
            # No stream, or one that is broken further on: its beginning may have come out.
            stream = zlib.decompressobj(wbits=47)
            plain = _as_far_as_it_goes(stream, rest[start : start + 4096])
        if len(plain) > 8:
            yield plain


def _as_far_as_it_goes(stream: zlib._Decompress, data: memoryview) -> bytes:
    plain = b""
    try:
        for start in range(0, len(data), 64):
            plain += stream.decompress(data[start : start + 64])
    except zlib.error:
        pass
    return plain
