"""Section 6: how fast the proof's scanner reads. One core, a file of what it meets: empty pages, boxes, lines of JSON."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.proof.markers import Mint
from tests.proof.scanner import Scanner

_LINE = b'{"order_number":"AJ-100042","type":"order_placed","at":"2026-11-22T10:14:58Z","ending":"done","milliseconds":12}\n'


def measure_scan(mebibytes: int, rounds: int) -> dict[str, Any]:
    """Megabytes (10⁶) per second: the median of some rounds over the same file, and each round's. The marker in it must be found."""
    mint = Mint()
    marker = mint.word("somebody", "recipient.name")
    mint.digits("somebody", "contact.phone")
    scanner = Scanner(mint.made)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bytes"
        piece = bytes(1 << 18) + os.urandom(1 << 18) + _LINE * ((1 << 19) // len(_LINE))
        file.write_bytes(piece * mebibytes + marker.encode())
        rates = [_rate(scanner, file) for _ in range(rounds)]
    return {"megabytes_per_second": round(statistics.median(rates), 1), "by_round": [round(rate, 1) for rate in rates]}


def _rate(scanner: Scanner, file: Path) -> float:
    began = time.perf_counter()
    read, found = scanner.search_file(file)
    seconds = time.perf_counter() - began
    if len(found) != 1:
        raise OSError("the scan did not find what is in the file")
    return read / 1e6 / seconds
