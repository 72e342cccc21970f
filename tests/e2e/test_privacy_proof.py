"""The proof in its small form: one death instead of three, and no erasure by keys. `make privacy-proof` runs the whole of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 1500


def test_no_byte_holds_anybody_where_the_policy_does_not_have_it(tmp_path: Path) -> None:
    report = tmp_path / "proof.json"
    command = [sys.executable, "-m", "tests.proof", "--small", "--json", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    verdict = json.loads(report.read_text())
    rows = {row["place"]: row for row in verdict["rows"]}
    assert {place for place, row in rows.items() if row["expected"]} == {"sent_carrier", "sent_twocheckout", "sent_mailbox"}
    assert all(row["found"] == row["expected"] for row in rows.values())
    # The planted ones were seen in every place, so every place was read; pseudonyms show that the job left its traces there.
    assert verdict["planted"] > 18 * 25
    read_and_marked = {
        "data_files",
        "data_wal",
        "data_dump",
        "data_statistics",
        "broker_files",
        "queues",
        "logs",
        "sent_storefront",
    }
    assert {place for place, row in rows.items() if row["pseudonyms"]} >= read_and_marked
