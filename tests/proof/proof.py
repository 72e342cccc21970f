"""One run of the proof: plant, play, gather, scan, judge."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

from deploy.local.processes import StartError
from shared.cli.settings import Settings
from shared.cli.terminal import NotDone
from shared.policy import load
from tests.proof import places
from tests.proof.alarm import raise_alarm
from tests.proof.cast import Cast
from tests.proof.erasure import REQUEST, Erasure
from tests.proof.expectations import Seen, judge, places_without_rule
from tests.proof.keyholes import Keys
from tests.proof.markers import PLANTED, Mint
from tests.proof.member import OFFICER, hired_officer
from tests.proof.people import WITHOUT_MARKER, undecided
from tests.proof.places import Piece
from tests.proof.planting import Planter
from tests.proof.play import Play
from tests.proof.report import Verdict
from tests.proof.scanner import Scanner
from tests.proof.stage import Stage
from tests.proof.storefront import Storefront

_COMMANDS = (
    ("parked", "list"),
    ("parked", "list", "--json"),
    ("stuck",),
    ("privacy", "retention"),
    ("privacy", "audit", "verify"),
)


class NothingProved(Exception):
    """The run could not say anything; the message says why."""


class Proof:
    """A run in a folder of its own. What it prints goes through `say` and is itself one of the places."""

    def __init__(self, folder: Path, say: Callable[[str], None], *, is_small: bool = False) -> None:
        self.folder, self._tell, self._is_small = folder, say, is_small
        self.policy = load()
        self.mint, planted = Mint(), Mint(PLANTED)
        self.cast = Cast(self.mint, is_small=is_small)
        self.planter = Planter(planted)
        self.scanner = Scanner([*self.mint.made, *planted.made])
        self.stage = Stage(folder / "stack")
        self.printed: list[bytes] = []
        self.answers: list[bytes] = []
        self.pieces: list[Piece] = []

    def run(self) -> Verdict:
        """Everything, in order. Raises NothingProved, StartError, AssertionError; servers are ended and their data removed in any case."""
        began = time.monotonic()
        self._refuse_what_is_undecided()
        with ExitStack() as ends:
            ends.callback(self.stage.remove)
            self.say("Starting the stack: private servers, services at DEBUG, a recorder before each outside party.")
            self.stage.up()
            self.stage.keep_values_whole()
            shop = Storefront(self.stage)
            ends.callback(shop.close)
            self.say("Self-test: planting every encoding in every place.")
            self.planter.plant(self.stage)
            play = Play(self.stage, self.cast, shop, self.say)
            play.run()
            self.say("What the commands print; what servers and services tell.")
            self._commands()
            play.clear_over_amqp()
            play.look_into_queues()
            with self.planter.metrics() as url:
                self.pieces += places.asked(self.stage, [url])
            self.pieces += places.backed_up(self.folder / "backups")
            self.pieces += places.all_of("queues", "message", play.played.queued)
            told, faults = ([], []) if self._is_small else self._erase(shop, play.played.keys)
            self.stage.rest()
            self.say("Scanning bytes.")
            seen, seconds = self._scan(shop)
            verdict = Verdict(
                judge(self.policy, self.cast.people, seen),
                self.planter.planted(),
                self.planter.unseen(seen),
                sum(seen.bytes.values()),
                seconds,
                dict(play.played.faults),
                WITHOUT_MARKER,
                told,
                faults,
            )
            self._tell_of_leaks(verdict)
        verdict.seconds = time.monotonic() - began
        return verdict

    def _erase(self, shop: Storefront, earlier: Keys) -> tuple[list[str], list[str]]:
        """Copy everything as it lies, then erase one person for good; what is printed belongs to the scan. Gives what was seen, and faults."""
        erasure = Erasure(self.stage, self.cast, self.folder / "copies", self.say)
        erasure.before(earlier)
        self.say("Copying both clusters and the broker's files.")
        self.stage.rest()
        erasure.copy()
        self.stage.up()
        erasure.run(shop, self.folder / "backups")
        password = hired_officer(self.stage)
        for words in (("privacy", "prove", REQUEST), ("privacy", "requests", "--all")):
            self.printed.append(self.stage.command(*words, "--as", OFFICER, "--password-stdin", says=password)[1])
        self.printed += [self.stage.command(*words)[1] for words in _COMMANDS]
        self.pieces += erasure.copies()
        return erasure.lines, erasure.faults

    def _tell_of_leaks(self, verdict: Verdict) -> None:
        """Open an incident at this stack's own orders service, which is started again for it; the verdict stands whatever becomes of that."""
        if self._is_small or not any(fault.kind == "leak" for row in verdict.rows for fault in row.faults):
            return
        try:
            self.stage.up()
            numbers = raise_alarm(Settings(self.stage.env), self.policy, verdict.rows)
        except (NotDone, StartError, AssertionError) as error:
            self.say(f"No incident was opened: {type(error).__name__}.")
        else:
            self.say(f"Incidents opened: {', '.join(map(str, numbers))}.")

    def say(self, line: str) -> None:
        self.printed.append(line.encode())
        self._tell(line)

    def _refuse_what_is_undecided(self) -> None:
        if names := undecided(self.policy, self.mint):
            raise NothingProved(f"fields that carry no marker, without a reason: {', '.join(names)}")
        if names := places_without_rule(self.policy):
            raise NothingProved(f"places of which nobody says what a leak there breaks: {', '.join(names)}")

    def _commands(self) -> None:
        self.printed.append(subprocess.run(self.planter.command(), capture_output=True, check=True, timeout=60).stdout)
        commands = _COMMANDS[:1] if self._is_small else _COMMANDS
        for words in (*commands, ("backup", str(self.folder / "backups"))):
            code, printed = self.stage.command(*words)
            if code not in (0, 1):
                raise NothingProved(f"`brownpaper {' '.join(words[:2])}` ended with {code}")
            self.printed.append(printed)

    def _scan(self, shop: Storefront) -> tuple[Seen, float]:
        seen = Seen(list(self.policy.canaries.places))
        began = time.monotonic()
        gathered: Iterable[Piece] = chain(
            self.pieces,
            places.files(self.stage),
            [self.planter.traces(self.folder)],
            places.all_of("sent_storefront", "answer", shop.answers),
            places.all_of("terminal", "print", self.printed),
        )
        for piece in gathered:
            if isinstance(piece.content, bytes):
                read, found = len(piece.content), self.scanner.search(piece.content)
            else:
                read, found = self.scanner.search_file(piece.content)
            seen.note(piece.place, piece.name, read, found)
        return seen, time.monotonic() - began
