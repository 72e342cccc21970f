"""The proof in its small form: one death instead of three, and no erasure by keys. `make privacy-proof` runs the whole of it."""

from __future__ import annotations

from pathlib import Path

from tests.proof.proof import Proof


def test_no_byte_holds_anybody_where_the_policy_does_not_have_it(tmp_path: Path) -> None:
    printed: list[str] = []
    verdict = Proof(tmp_path, printed.append, is_small=True).run()
    assert verdict.good, "\n".join(verdict.lines())
    rows = {row.place: row for row in verdict.rows}
    assert {place for place, row in rows.items() if row.expected} == {"sent_carrier", "sent_twocheckout", "sent_mailbox"}
    assert all(row.found == row.expected for row in rows.values())
    # The planted ones were seen in every place, so every place was read; pseudonyms show that the job left its traces there.
    assert verdict.planted > 18 * 25
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
    assert {place for place, row in rows.items() if row.pseudonyms} >= read_and_marked
