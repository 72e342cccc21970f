"""The verdict as a table for people and as JSON: each place, bytes read, hits expected, hits found. No value stands in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.proof.expectations import Row

_MOST_SHOWN = 40


@dataclass
class Verdict:
    """What a run has shown. `unseen` is what the self-test planted and nobody saw; `erasure` what the keys did."""

    rows: Sequence[Row]
    planted: int
    unseen: Sequence[str]
    scanned_bytes: int
    scan_seconds: float
    faults_on_the_way: dict[str, object]
    without_marker: dict[str, str]
    erasure: list[str] = field(default_factory=list)
    erasure_faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return not (self.unseen or self.erasure_faults or any(row.faults for row in self.rows))

    def as_json(self) -> dict[str, Any]:
        return {"good": self.good, **asdict(self)}

    def lines(self) -> list[str]:
        """The table, and every fault."""
        head = f"{'place':18}{'pieces':>8}{'bytes read':>14}{'expected':>10}{'found':>8}{'pseudonyms':>12}{'faults':>8}"
        lines = ["", head, "-" * len(head)]
        for row in self.rows:
            lines.append(
                f"{row.place:18}{row.pieces:8}{row.bytes:14,}{row.expected:10}{row.found:8}{row.pseudonyms:12}{len(row.faults):8}"
            )
        lines += [
            "-" * len(head),
            f"{'in all':18}{sum(row.pieces for row in self.rows):8}{sum(row.bytes for row in self.rows):14,}"
            f"{sum(row.expected for row in self.rows):10}{sum(row.found for row in self.rows):8}",
            "",
            "Expected and found: fields of people that the policy sends there. Pseudonyms: numbers and titles that it lets stand there.",
            "There is no tracer, and so no trace: the header `traceparent` is among the messages and what is sent.",
            f"Read {self.scanned_bytes / 1e6:.0f} MB in {self.scan_seconds:.0f} s.",
            f"Self-test: {self.planted - len(self.unseen)} of {self.planted} plantings were seen, each encoding in each place.",
            f"Faults on the way: {len(self.faults_on_the_way)}, all of them came about.",
            f"Fields that can carry no marker: {', '.join(sorted(self.without_marker))}.",
            *self.erasure,
        ]
        wrong = [
            *(f"self-test, not seen in {it}" for it in self.unseen),
            *(str(fault) for row in self.rows for fault in row.faults),
            *self.erasure_faults,
        ]
        lines += ["", *(f"FAULT  {it}" for it in wrong[:_MOST_SHOWN])]
        if len(wrong) > _MOST_SHOWN:
            lines.append(f"FAULT  and {len(wrong) - _MOST_SHOWN} more: see the report")
        lines.append(
            f"The proof holds ({self.seconds:.0f} s)."
            if self.good
            else f"THE PROOF DOES NOT HOLD: {len(wrong)} faults ({self.seconds:.0f} s)."
        )
        return lines

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(self.as_json(), indent=1, ensure_ascii=False, default=str) + "\n")
