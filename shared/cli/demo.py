"""`brownpaper demo`: a whole stack of its own, a storefront, a warehouse crew, and the sandboxes' books as witnesses."""

from __future__ import annotations

import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from deploy.local.configuration import SANDBOXES
from deploy.local.processes import StartError
from deploy.local.stack import ROOT, Stack
from shared.cli.acknowledging import acknowledge_at
from shared.cli.order_sets.opening import NAMES, default_name, open_set
from shared.cli.play import Demo, StackLike
from shared.cli.progress import Picture
from shared.cli.report import as_table, verdict, where_to_look
from shared.cli.sessions import begin
from shared.cli.settings import Settings
from shared.cli.staff import make_account
from shared.cli.storefront import source_of
from shared.cli.terminal import NotDone, ending_clearly, out, say

SERVICES = ("orders", "payments", "shipping", "notifications")


@contextmanager
def running(stack: StackLike, picture: Picture) -> Iterator[StackLike]:
    """The stack, up; whatever happens, it is taken down again. SIGTERM ends the run like Ctrl-C, a second Ctrl-C waits."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        stack.up(picture.note)
        yield stack
    except StartError as error:
        raise NotDone(f"The stack did not come up: {error}") from None
    finally:
        patient = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            stack.down()
        finally:
            signal.signal(signal.SIGINT, patient)
            signal.signal(signal.SIGTERM, before)


def open_stack(folder: Path, seed: int) -> Stack:
    """A private stack in `folder`, emptied of the last demo. Raises NotDone where a demo still runs there."""
    # The demo compares the books of all sides, so all outside parties are its own, whatever addresses the shell exports.
    parties = {name for sandbox in SANDBOXES for name in (*sandbox.given, *sandbox.told)}
    environ = {name: value for name, value in os.environ.items() if name not in parties}
    stack = Stack(folder, environ=environ, fresh=True, sandbox_arguments=("--seed", str(seed)))
    if any(pid for _, pid, _ in stack.status()):
        raise NotDone(f"A demo runs in {folder} already; end it first, it cannot be played twice at once.")
    return stack


def folders_of(folder: Path, papers: Path) -> dict[str, str]:
    """Where to look afterwards: the mails as the mailbox sandbox rendered them, and the crew's papers."""
    mails = next((path for path in sorted(folder.rglob("mails")) if path.is_dir()), folder / "mails")
    found = {"rendered mails": mails, "labels (PDF)": papers / "labels", "pick lists (PDF)": papers / "pick_lists"}
    return {what: str(path) for what, path in found.items() if path.is_dir()}


def packer_at(settings: Settings) -> str:
    """The token of a session of the demo's own packer, who is hired for it and has acknowledged the policy."""
    name, password = "demo.packer", secrets.token_urlsafe(24)
    _, services = make_account(settings, name, "warehouse", lambda: password)
    acknowledge_at(settings, services, name, password)
    return begin(settings, "shipping", name, password).token


def demo(
    orders: Annotated[int, typer.Option("--orders", "-n", min=1, help="How many orders to play.")] = 200,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="SET|FILE", help=f"{', '.join(NAMES)}, or a file of order_placed events.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Invents other buyers.")] = 1,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the stack running at the end, until Ctrl-C, to look around.")
    ] = False,
    kill: Annotated[
        list[str] | None,
        typer.Option("--kill", metavar="SERVICE", help="Kill this service in mid-run and start it again; repeatable."),
    ] = None,
) -> None:
    """Start a private stack, play a storefront and a warehouse crew, and hold the sandboxes' own books against it.

    Without --from the UK gift shop's orders are taken where they lie beside the clone, else a small sample. Ends with 0 only if
    every order reached its end and the books agree. Ctrl-C stops everything that was started.
    """
    with ending_clearly():
        unknown = sorted(set(kill or ()) - set(SERVICES))
        if unknown:
            raise typer.BadParameter(
                f"no such service: {', '.join(unknown)} (there are {', '.join(SERVICES)})", param_hint="--kill"
            )
        folder = ROOT / ".demo"
        picture = Picture(out)
        stack = open_stack(folder, seed)
        with running(stack, picture):
            order_set = open_set(from_ or default_name(), source=source_of(stack.env), orders=orders, seed=seed)
            picture.note(f"Playing {orders} order(s) from {order_set.name}.")
            papers = folder / "papers"
            token = packer_at(Settings(stack.env))
            player = Demo(stack, order_set, papers=papers, token=token, picture=picture, kill=kill or ())
            with picture:
                outcome = player.play(orders if order_set.name in NAMES else None)
            outcome = replace(outcome, folders=folders_of(folder, papers))
            out.print(as_table(outcome))
            for line in [*where_to_look(outcome), *verdict(outcome)]:
                say(line)
            if keep:
                say("The stack is left running; Ctrl-C stops it.")
                with suppress(KeyboardInterrupt):
                    threading.Event().wait()
        if not outcome.good:
            raise NotDone("The demo did not end well.")
