"""How places are read: a mail as its reader sees it, a log across its pages, bytes that PostgreSQL shows in hexadecimal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.proof.markers import Mint
from tests.proof.places import as_read, cluster_files, joined_pages, sent
from tests.proof.scanner import Scanner


@pytest.fixture(scope="module")
def mint() -> Mint:
    it = Mint()
    it.word("ana", "contact.name")
    return it


def log_of(record: bytes, first: int) -> bytes:
    """A segment of two pages with one record across them, of which so many bytes are on the first."""
    head, next_head = b"\x10\xd1\x02\x00" + bytes(36), b"\x10\xd1\x01\x00" + bytes(20)
    return head + b"." * (8192 - 40 - first) + record[:first] + (next_head + record[first:]).ljust(8192, b".")


@pytest.mark.parametrize("first", [1, 8, 12])
def test_a_marker_across_two_pages_of_the_log_is_whole(first: int, mint: Mint, tmp_path: Path) -> None:
    marker, scanner = mint.made[0], Scanner(mint.made)
    log = log_of(marker.text.encode(), first)
    assert {it.marker for it in scanner.search(log)} != {marker}
    assert {it.marker for it in scanner.search(joined_pages(log))} == {marker}
    (tmp_path / "pg_wal").mkdir()
    (tmp_path / "pg_wal" / "000000010000000000000001").write_bytes(log)
    [piece] = cluster_files(tmp_path, "data")
    assert (piece.place, piece.content) == ("data_wal", joined_pages(log))


def test_a_log_loses_nothing_but_its_pages_heads() -> None:
    record = os.urandom(4000)
    assert record in joined_pages(log_of(record, 1234))
    assert joined_pages(b"") == b""


def test_a_mail_is_read_as_its_reader_sees_it(mint: Mint, tmp_path: Path) -> None:
    marker = mint.made[0]
    half, rest = marker.text[:6], marker.text[6:]
    words = " ".join(f"=?utf-8?Q?{part}?=" for part in (half, rest))
    mail = f"Subject: {words}\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{half}=\r\n{rest}".encode()
    scanner = Scanner(mint.made)
    assert as_read(mail).lower().count(marker.text.lower().encode()) == 2
    (tmp_path / "1.sent").write_bytes(b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n" + mail + b"\r\n.\r\nQUIT\r\n")
    pieces = list(sent(tmp_path, "sent_mailbox"))
    assert [piece.name for piece in pieces] == ["1.sent", "1.sent, mail 1 as it is read"]
    assert isinstance(pieces[1].content, bytes)
    assert {it.marker for it in scanner.search(pieces[1].content)} == {marker}
