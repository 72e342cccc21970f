"""What every provider of master keys does the same: a file, and Vault's transit engine (played by a stand-in made from its documentation)."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.contracts.errors import TryLater
from shared.custody.master import FileMaster, Master, MasterKeyGone, MasterKeyInvalid, Wrapped
from shared.custody.transit import TransitMaster
from shared.http_client import HttpClient
from tests.contract.custody.transit_stand_in import Transit, serving

KEY, CONTEXT = b"k" * 32, b"part key\0shipping\0person\0item\0recipient"


@dataclass
class Provided:
    """A provider: `again` gives another process's view of the same master."""

    again: Callable[[], Master]
    transit: Transit | None = None
    file: Path | None = None


@pytest.fixture(params=["file", "transit"])
def provided(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Provided]:
    if request.param == "file":
        file = tmp_path / "master"
        file.write_bytes(base64.b64encode(os.urandom(32)))
        file.chmod(0o600)
        yield Provided(lambda: FileMaster.read(file), file=file)
        return
    token = tmp_path / "token"
    token.write_text("hvs.stand-in\n")
    transit = Transit("hvs.stand-in", "shipping")
    with serving(transit) as url:

        def again() -> Master:
            http = HttpClient(url, timeout_seconds=(60, 60), longest_pause_seconds=0.01)
            return TransitMaster(http, key="shipping", token_file=token)

        yield Provided(again, transit=transit)


def refused(master: Master, wrapped: Wrapped, context: bytes = CONTEXT) -> type[Exception]:
    with pytest.raises(MasterKeyInvalid) as caught:
        master.unwrap(wrapped, context)
    return caught.type


def test_what_was_wrapped_is_unwrapped_also_by_another_process(provided: Provided) -> None:
    wrapped = provided.again().wrap(KEY, CONTEXT)
    assert KEY not in wrapped.box
    assert wrapped.master_id == provided.again().current_id()
    assert provided.again().unwrap(wrapped, CONTEXT) == KEY


def test_many_are_wrapped_at_once_in_their_order(provided: Provided) -> None:
    master = provided.again()
    keys = [(os.urandom(32), f"context {number}".encode()) for number in range(50)]
    wrapped = master.wrap_many(keys)
    assert len({it.box for it in wrapped}) == 50
    assert master.unwrap_many([(it, context) for it, (_, context) in zip(wrapped, keys, strict=True)]) == [key for key, _ in keys]
    assert (master.wrap_many([]), master.unwrap_many([])) == ([], [])


def test_in_another_context_it_is_refused(provided: Provided) -> None:
    master = provided.again()
    assert refused(master, master.wrap(KEY, CONTEXT), CONTEXT + b"x") is MasterKeyInvalid


def test_every_byte_that_is_flipped_is_refused(provided: Provided) -> None:
    master = provided.again()
    wrapped = master.wrap(KEY, CONTEXT)
    for place in range(len(wrapped.box)):
        box = bytearray(wrapped.box)
        box[place] ^= 1
        assert refused(master, Wrapped(wrapped.master_id, bytes(box))) is MasterKeyInvalid


def test_of_many_only_the_broken_one_is_refused(provided: Provided) -> None:
    master = provided.again()
    wrapped = master.wrap_many([(KEY, CONTEXT)] * 3)
    wrapped[1] = Wrapped(wrapped[1].master_id, wrapped[1].box[:-1] + bytes([wrapped[1].box[-1] ^ 1]))
    found = master.unwrap_many([(it, CONTEXT) for it in wrapped])
    assert [it == KEY for it in found] == [True, False, True]
    assert type(found[1]) is MasterKeyInvalid


def test_a_master_that_is_not_here_is_told_as_gone(provided: Provided) -> None:
    master = provided.again()
    wrapped = master.wrap(KEY, CONTEXT)
    assert refused(master, Wrapped("0123456789ab", wrapped.box)) is MasterKeyGone
    assert refused(master, Wrapped("transit:v9", wrapped.box)) is MasterKeyGone


def test_a_rotation_keeps_the_old_until_it_is_destroyed(provided: Provided) -> None:
    running, hands = provided.again(), provided.again()
    before = running.wrap(KEY, CONTEXT)
    current = hands.begin_rotation()
    assert current != before.master_id
    assert hands.begin_rotation() == current, "a rotation that was begun is gone on with"
    assert running.unwrap(before, CONTEXT) == KEY
    after = running.wrap(KEY, CONTEXT)
    assert after.master_id == current, "who runs wraps under the new one"
    with pytest.raises(MasterKeyInvalid):
        hands.destroy_others(before.master_id)
    for _ in range(2):
        hands.destroy_others(current)
    assert provided.again().unwrap(after, CONTEXT) == KEY
    assert refused(provided.again(), before) is MasterKeyGone
    running.wrap(KEY, CONTEXT)
    assert refused(running, before) is MasterKeyGone, "who runs forgets the old one too"
    assert hands.begin_rotation() not in (before.master_id, current)


# ── what only one of them has ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "master"
    path.write_bytes(base64.b64encode(os.urandom(32)))
    path.chmod(0o600)
    return path


def test_the_old_file_is_written_over_and_the_new_one_is_its_owners_alone(file: Path) -> None:
    old_text = file.read_bytes()
    with file.open("rb") as old:
        master = FileMaster.read(file)
        current = master.begin_rotation()
        assert old.read() == bytes(len(old_text)), "who still has the old file open reads zeros"
        assert file.read_bytes().split()[0] == old_text, "the old master stands until it is destroyed"
        with file.open("rb") as both:
            master.destroy_others(current)
            assert set(both.read()) == {0}
    assert old_text not in file.read_bytes()
    assert len(file.read_bytes().split()) == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [it.name for it in file.parent.iterdir()] == [file.name]


def test_a_file_that_is_half_there_takes_nothing_from_who_has_read_it(file: Path) -> None:
    master = FileMaster.read(file)
    wrapped = master.wrap(KEY, CONTEXT)
    file.write_bytes(b"canary-not-a-key")
    assert master.unwrap(master.wrap(KEY, CONTEXT), CONTEXT) == KEY
    file.unlink()
    assert master.unwrap(wrapped, CONTEXT) == KEY


@pytest.mark.parametrize("content", [None, b"", b"canary-not-base64!", base64.b64encode(bytes(31)), base64.b64encode(bytes(33))])
def test_a_file_that_holds_no_key_is_refused_without_its_text(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "canary"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MasterKeyInvalid) as caught:
        FileMaster.read(path)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.fixture
def transit(tmp_path: Path) -> Iterator[tuple[Transit, TransitMaster, Path]]:
    token = tmp_path / "token"
    token.write_text("hvs.stand-in")
    it = Transit("hvs.stand-in", "shipping")
    with serving(it) as url:
        http = HttpClient(url, timeout_seconds=(60, 60), longest_pause_seconds=0.01)
        yield it, TransitMaster(http, key="shipping", token_file=token), token


def test_a_batch_is_one_request(transit: tuple[Transit, TransitMaster, Path]) -> None:
    server, master, _ = transit
    wrapped = master.wrap_many([(os.urandom(32), CONTEXT)] * 200)
    master.unwrap_many([(it, CONTEXT) for it in wrapped])
    assert server.seen == ["POST /v1/transit/encrypt/shipping", "POST /v1/transit/decrypt/shipping"]


def test_a_server_that_refuses_a_batch_as_a_whole_is_understood(transit: tuple[Transit, TransitMaster, Path]) -> None:
    server, master, _ = transit
    server.whole_refusals = True
    wrapped = master.wrap(KEY, CONTEXT)
    assert refused(master, Wrapped(wrapped.master_id, bytes(len(wrapped.box)))) is MasterKeyInvalid
    assert refused(master, Wrapped("transit:v9", wrapped.box)) is MasterKeyGone


def test_a_sealed_server_and_a_token_that_ran_out_are_waited_for(transit: tuple[Transit, TransitMaster, Path]) -> None:
    server, master, token = transit
    wrapped = master.wrap(KEY, CONTEXT)
    server.is_sealed = True
    with pytest.raises(TryLater):
        master.unwrap(wrapped, CONTEXT)
    server.is_sealed = False
    token.write_text("hvs.expired")
    with pytest.raises(TryLater) as caught:
        master.wrap(KEY, CONTEXT)
    assert "hvs" not in str(caught.value)
    token.write_text("hvs.stand-in")
    assert master.unwrap(wrapped, CONTEXT) == KEY, "an agent renewed it"
    token.unlink()
    with pytest.raises(TryLater):
        master.wrap(KEY, CONTEXT)
