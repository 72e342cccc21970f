"""`brownpaper crew`: plays the warehouse crew through the doors that staff use; picks, packs, hands over."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli import settings as cli_settings
from shared.cli.doors import Answered, Door, Unreachable
from shared.cli.packing import Size, packed
from shared.cli.sessions import PasswordStdin, session, told_why
from shared.cli.storefront import EnvFile
from shared.cli.terminal import NotDone, complain, ending_clearly, say

AT_ONCE = 50
_MOST_ON_A_LIST = 200
_ROUNDS_WITHOUT_WORK = 5
_ROUNDS_WITHOUT_HAND_OVER = 60
_PAUSE_SECONDS = 1.0
_FILE_NAME = re.compile(r"[A-Za-z0-9._~-]{1,128}", re.ASCII)


class Crew:
    """A warehouse crew of one. Every step is safe to repeat: the doors take a second telling as the first.

    `papers` is where pick lists and labels are kept; without it none are fetched. `token` is that of a session of the warehouse's staff;
    without one the crew is a machine, and no label is shown to it. `done` counts what the doors called done,
    `refused` what they refused, by reason.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        *,
        papers: Path | None = None,
        token: str | None = None,
        sizes: Mapping[str, Size] | None = None,
        stop: threading.Event | None = None,
        on_trouble: Callable[[str], None] = lambda _: None,
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self._pause_seconds = pause_seconds
        self._stop = stop or threading.Event()
        self._shipping = Door(
            "The shipping service",
            settings["SHIPPING_HTTP_URL"],
            token=token or settings["STAFF_TOKEN"],
            ca_file=settings.get("DOORS_CA_FILE"),
            on_wait=on_trouble,
            stop=self._stop,
        )
        carrier = settings.get("CARRIER_SANDBOX_URL")
        self._carrier = Door("The carrier sandbox", carrier, on_wait=on_trouble, stop=self._stop) if carrier else None
        self._papers, self._is_member = papers, token is not None
        self._sizes = sizes or {}
        self._on_trouble = on_trouble
        self._for_the_driver: set[str] = set()
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._set_aside: dict[str, set[str]] = {"picked": set(), "packed": set(), "handed_over": set()}
        self._not_yet: dict[str, set[str]] = {"picked": set(), "packed": set(), "handed_over": set()}

    def round(self) -> int:
        """One walk through the warehouse, a batch at each station, the last station first so that parcels flow.

        Gives how much got done.
        """
        before = self.done.total()
        self._step("to_hand_over", "handed_over", "parcel", lambda _item: {})
        self._call_the_driver()
        self._step("to_pack", "packed", "pick_list", lambda item: packed(item.get("lines") or (), self._sizes))
        self._step("to_pick", "picked", "pick_list", lambda _item: {})
        return self.done.total() - before

    def work(self, *, follow: bool, on_the_way: Callable[[], bool] = lambda: False) -> None:
        """Walk rounds until there is nothing left for a while and `on_the_way()` expects nothing more; for ever with `follow`."""
        try:
            self._rounds(follow, on_the_way)
        finally:
            with suppress(NotDone):  # what was handed over must not stay on the dock because the crew went home
                self._call_the_driver()

    def _rounds(self, follow: bool, on_the_way: Callable[[], bool]) -> None:
        idle = 0
        while not self._stop.is_set():
            try:
                idle = 0 if self.round() else idle + 1
            except Unreachable as error:
                self._on_trouble(f"{error} The crew waits.")
                if not follow and not on_the_way():
                    raise
            # A parcel that was packed waits for its label and its capture before it can be handed over.
            waiting = self.done["packed"] > self.done["handed_over"] + len(self._set_aside["handed_over"])
            patience = _ROUNDS_WITHOUT_HAND_OVER if waiting else _ROUNDS_WITHOUT_WORK
            if not follow and idle >= patience and not on_the_way():
                return
            if idle:
                self._stop.wait(self._pause_seconds)

    def _step(self, state: str, verb: str, key: str, said: Callable[[Mapping[str, Any]], Mapping[str, int]]) -> None:
        skipped = self._set_aside[verb] | self._not_yet[verb]
        self._not_yet[verb] = set()  # what was for later is left out once, so that it does not keep the others waiting
        answer = self._shipping.get_json("/work", state=state, limit=_MOST_ON_A_LIST)
        items = [item for item in answer.get("items", []) if str(item.get(key)) not in skipped][:AT_ONCE]
        if not items:
            return
        if verb == "picked":
            self._keep("pick_lists", items, key)
        elif verb == "handed_over":
            self._keep("labels", items, key)
        told = {"items": [{key: item[key], **said(item)} for item in items]}
        self._take(verb, key, items, self._shipping.post_json(f"/{verb}", told).get("results", []))

    def _take(self, verb: str, key: str, items: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]]) -> None:
        """Note each ending."""
        numbers = {str(item[key]): item.get("tracking_number") for item in items}
        for result in results:
            ending, name = result.get("ending"), str(result.get(key))
            if ending == "done":
                self.done[verb] += 1
                if verb == "handed_over" and numbers.get(name):
                    self._for_the_driver.add(str(numbers[name]))
            elif ending == "refused":
                # It stays on the list until somebody looks; the crew does not ask again.
                self._set_aside[verb].add(name)
                codes = ", ".join(str(reason.get("code")) for reason in result.get("reasons") or ()) or "no reason given"
                self.refused[f"{verb}: {codes}"] += 1
            else:
                self._not_yet[verb].add(name)

    def _call_the_driver(self) -> None:
        """Tell the carrier sandbox's driver which parcels stand ready; he scans and, later, delivers them."""
        if self._carrier is None or not self._for_the_driver:
            return
        numbers = sorted(self._for_the_driver)
        for start in range(0, len(numbers), 200):
            some = numbers[start : start + 200]
            self._carrier.post_json("/_sandbox/collect", {"tracking_numbers": some})
            self._for_the_driver.difference_update(some)
            self.done["collected"] += len(some)

    def _keep(self, kind: str, items: Sequence[Mapping[str, Any]], key: str) -> None:
        if self._papers is None or (kind == "labels" and not self._is_member):
            return
        folder = self._papers / kind
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # a label shows an address
        for item in items:
            name = str(item[key])
            path = folder / f"{name}.pdf"
            if not _FILE_NAME.fullmatch(name) or path.exists():
                continue
            try:
                path.write_bytes(self._shipping.get_bytes(f"/{kind}/{name}.pdf"))
                self.done[kind] += 1
            except Answered as error:
                self._on_trouble(f"{error} The paper is missing; the work goes on.")


def crew(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C, also when there is nothing to do.")] = False,
    papers: Annotated[
        Path | None, typer.Option("--papers", metavar="DIR", help="Keep pick lists and, with --as, labels (PDF) here.")
    ] = None,
    who: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Work as this member of the warehouse; the password is asked for.")
    ] = None,
    password_stdin: PasswordStdin = False,
    env: EnvFile = None,
) -> None:
    """Play the warehouse crew against a running stack: pick, pack and hand over until nothing is left to do.

    Where the carrier sandbox is ours, its driver is told to collect what was handed over.
    """
    with ending_clearly(), ExitStack() as ends:
        settings = cli_settings.load(env)
        settings.require("SHIPPING_HTTP_URL", *([] if who else ["STAFF_TOKEN"]))
        token = ends.enter_context(session(settings, "shipping", who, from_stdin=password_stdin)).token if who else None
        if papers is not None and token is None:
            complain("A label shows who lives where: labels are kept for a member of the warehouse alone (--as NAME).")
        player = Crew(settings, papers=papers, token=token, on_trouble=complain)
        try:
            with told_why():
                player.work(follow=follow)
        finally:
            done = player.done
            say(
                f"Picked {done['picked']}, packed {done['packed']}, handed over {done['handed_over']}, "
                f"collected {done['collected']}."
            )
            if papers is not None:
                say(f"Papers: {done['pick_lists']} pick list(s) and {done['labels']} label(s) in {papers}.")
            for reason, times in player.refused.most_common():
                complain(f"Refused {times} time(s), {reason}.")
        if player.refused:
            raise NotDone("Some steps were refused.")
