"""Erasure proved by keys: what old copies still hold of a person opens while the keys are there, and with no key that exists afterwards.

Nothing is said about plaintext here: that there is none is the scan's to show. Copies of both clusters, of the broker's files and the
backups stay as they were; what changes is which keys exist.
"""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from ahocorasick_rs import BytesAhoCorasick

from shared.cli.keyrings import Keyring as Transactions
from shared.custody.master import FileMaster
from shared.keyring import GRACE, LIFETIME, Keyring
from tests.integration.facts import everything_in
from tests.proof import places
from tests.proof.cast import Cast
from tests.proof.keyholes import Keys, Name, key_names, names_of, opened_box, opened_envelope, sealed_in
from tests.proof.people import Person
from tests.proof.places import Piece
from tests.proof.stage import KEYRINGS, Stage
from tests.proof.storefront import Storefront

_ENDED = {"billing", "friend"}  # their keys go with the payment and with the one mail
_SERVERS = ("data", "keyring", "broker")
REQUEST = "proof-of-erasure"
WHERE = {"data_files", "data_wal", "data_dump", "broker_files"}
"""Where something sealed of everybody whose order went well must lie: else it was not looked for."""


class Erasure:
    """One erasure, from before it to after: `before`, `copy`, then `run`. `lines` tell what was seen, `faults` what should have been."""

    def __init__(self, stage: Stage, cast: Cast, folder: Path, say: Callable[[str], None]) -> None:
        self._stage, self._say = stage, say
        self._leaving, self._staying = cast["leaving"], cast["staying"]
        self._people = list(cast.people.values())
        self._folder = folder
        self.lines: list[str] = []
        self.faults: list[str] = []

    # ── while everything still opens ─────────────────────────────────────────────────────────────────────────────────────────

    def before(self, earlier: Keys) -> None:
        """Collect every key of this moment and those that the play saw come and go, and what stands sealed in the running databases."""
        self._then = Keys.of(self._stage).with_those_of(earlier)
        names = list(names_of(self._people))
        self._key_names = key_names(self._stage, names)
        self._standing = set()
        for url in self._stage.databases():
            self._standing |= sealed_in(everything_in(url).encode())

    def copy(self) -> None:
        """Copy the clusters and the broker's files as they lie, once their servers have ended."""
        self._folder.mkdir(mode=0o700)
        for server in _SERVERS:
            subprocess.run(["cp", "-a", str(self._stage.place_of(server)), str(self._folder / server)], check=True)

    def copies(self) -> Iterator[Piece]:
        """The copies, to be scanned like the originals."""
        for cluster in ("data", "keyring"):
            yield from places.cluster_files(self._folder / cluster / "data", cluster)
        yield from places.broker_files(self._folder / "broker")

    # ── the erasure ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, shop: Storefront, backups: Path) -> None:
        """Open all that the copies hold; erase one person, rotate every key; try every key that exists then."""
        kept = self._all_sealed(backups)
        theirs = self._opened_with_the_keys_of_then(kept)
        self._say("Erasing one person, rotating every key.")
        shop.tell(self._leaving, "customer_erasure_requested", request_id=REQUEST)
        shop.hear("customer_erased", lambda data: data.get("request_id") == REQUEST, "of the erasure")
        self._rotate()
        self._say("Trying every key that exists on every box and envelope.")
        now = Keys.of(self._stage)
        self._nothing_opens_any_more(theirs[self._leaving.name], now)
        self._the_other_s_still_open(theirs[self._staying.name], now)
        self._old_keys_are_nowhere(now)

    def _all_sealed(self, backups: Path) -> dict[bytes, set[str]]:
        """Every box and envelope in the copies, with the places where it lies."""
        found: dict[bytes, set[str]] = {}
        for piece in (*self.copies(), *places.backed_up(backups)):
            content = piece.content if isinstance(piece.content, bytes) else piece.content.read_bytes()
            for sealed in sealed_in(content):
                found.setdefault(sealed, set()).add(piece.place)
        if missing := self._standing - found.keys():
            self.faults.append(
                f"erasure: {len(missing)} of {len(self._standing)} boxes and envelopes of the databases are not in the copies"
            )
        return found

    def _opened_with_the_keys_of_then(self, kept: dict[bytes, set[str]]) -> dict[str, list[tuple[bytes, Name | None]]]:
        """Person → what of theirs is in the copies, each with the name it was closed under (None: a box)."""
        theirs: dict[str, list[tuple[bytes, Name | None]]] = {person.name: [] for person in self._people}
        closed = 0
        for sealed in kept:
            whose = self._whose(sealed)
            if whose is None:
                closed += 1
            else:
                theirs[whose[0].name].append((sealed, whose[1]))
        for person in (self._leaving, self._staying):
            kinds = _kinds(theirs[person.name])
            wanted = {
                "a box",
                *(
                    f"{part} ({form})"
                    for part, form in (
                        ("recipient", "part"),
                        ("recipient", "label"),
                        ("contact", "part"),
                        ("friend", "part"),
                        ("request", "part"),
                        ("request", "reply"),
                    )
                ),
            }
            if not wanted <= kinds.keys():
                self.faults.append(f"erasure: of {person.name} the copies hold only {', '.join(sorted(kinds)) or 'nothing'}")
            where = {place for sealed, _ in theirs[person.name] for place in kept[sealed]}
            if not where >= WHERE:
                self.faults.append(
                    f"erasure: nothing of {person.name} lies in {', '.join(sorted(WHERE - where))}, which cannot be"
                )
            told = ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items()))
            self.lines.append(
                f"Erasure: the copies ({', '.join(sorted(where))}) hold of {person.name} {told}; each opens with the keys of then."
            )
        self.lines.append(
            f"Erasure: {len(kept)} boxes and envelopes are in the copies, {closed} of them open with no key of that moment."
        )
        if closed:
            self.faults.append(
                f"erasure: {closed} boxes or envelopes in the copies open with no key of that moment: nobody can say whose they are"
            )
        return theirs

    def _whose(self, sealed: bytes) -> tuple[Person, Name | None] | None:
        plain = opened_box(sealed, self._then.intake)
        if plain is not None:
            text = plain.decode("utf-8", "replace").lower()
            found = [it for it in self._people if any(marker.text.lower() in text for marker in it.mint.of(it.name))]
            return (found[0], None) if found else None
        for name, where in self._key_names.items():
            key = self._then.parts.get(where)
            if key is not None and opened_envelope(sealed, [key], name) is not None:
                return next(it for it in self._people if it.customer_id == name.part.customer_id), name
        return None

    def _rotate(self) -> None:
        """A new master by the command; the intake keys as they go by themselves: their time is an argument, and twelve days are over."""
        code, _ = self._stage.command("privacy", "rotate-master", "all")
        assert code == 0, "the master keys were not rotated"
        self._stage.end_services(*KEYRINGS)
        at = datetime.now(UTC) + LIFETIME + GRACE + timedelta(seconds=1)
        for service in KEYRINGS:
            master = FileMaster.read(Path(self._stage.env[f"{service.upper()}_KEYRING_MASTER_KEY_FILE"]))
            with psycopg.connect(self._stage.database(service, keyring=True), autocommit=True) as connection:
                Keyring(service, Transactions(connection), master).destroy_old(at)  # type: ignore[arg-type]
        for service in KEYRINGS:
            self._stage.begin(service)
        for service in KEYRINGS:
            self._stage.await_ready(service)

    # ── with the keys of afterwards ──────────────────────────────────────────────────────────────────────────────────────────

    def _nothing_opens_any_more(self, theirs: list[tuple[bytes, Name | None]], now: Keys) -> None:
        every = now.with_what_they_unwrap(self._then.wrapped)
        names = [name for name in self._key_names if name.part.customer_id == self._leaving.customer_id]
        opened = 0
        for sealed, _ in theirs:
            if opened_box(sealed, every) is not None or any(opened_envelope(sealed, every, name) is not None for name in names):
                opened += 1
        self.lines.append(
            f"Erasure: afterwards {len(every)} keys exist; each was tried on each of the {len(theirs)} of leaving: {opened or 'none'} opened."
        )
        if opened:
            self.faults.append(
                f"erasure: {opened} of {len(theirs)} boxes and envelopes of the erased person open with a key that still exists (clause 38)"
            )

    def _the_other_s_still_open(self, theirs: list[tuple[bytes, Name | None]], now: Keys) -> None:
        envelopes = [(sealed, name) for sealed, name in theirs if name is not None and name.part.part not in _ENDED]
        shut = [name for sealed, name in envelopes if opened_envelope(sealed, now.raw, name) is None]
        self.lines.append(f"Erasure: of staying {len(envelopes) - len(shut)} of {len(envelopes)} envelopes still open.")
        if shut or not envelopes:
            self.faults.append(
                f"erasure: {len(shut)} of {len(envelopes)} envelopes of somebody who was not erased do not open (clause 63)"
            )

    def _old_keys_are_nowhere(self, now: Keys) -> None:
        """The bytes of the destroyed keys themselves, in the copies and in all that the stack has on its disk."""
        gone = self._then.raw - now.raw
        words = [form for key in gone for form in (key, b64encode(key).rstrip(b"="), key.hex().encode())]
        matcher = BytesAhoCorasick(words)
        found = Counter(
            str(path.relative_to(root))
            for root in (self._stage.folder, self._folder)
            for path in root.rglob("*")
            if path.is_file() and not path.is_symlink() and matcher.find_matches_as_indexes(path.read_bytes())
        )
        self.lines.append(
            f"Erasure: {len(gone)} keys were destroyed, and their bytes are in {len(found) or 'no'} file{'' if len(found) == 1 else 's'}."
        )
        self.faults += [f"erasure: a key that was destroyed is in {name} (clause 38)" for name in found]


def _kinds(theirs: list[tuple[bytes, Name | None]]) -> Counter[str]:
    return Counter("a box" if name is None else f"{name.part.part} ({name.form})" for _, name in theirs)
