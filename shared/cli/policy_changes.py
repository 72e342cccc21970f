"""`brownpaper privacy change`: the typed difference of two policy files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from shared.cli.terminal import Misused, NotDone, ending_clearly, say
from shared.policy import Policy, PolicyRefused, load
from shared.policy.changes import Change, Effect, difference, is_another_policy, material, widenings
from shared.policy.notices import noticed, widened

PolicyFile = Annotated[Path, typer.Argument(metavar="FILE", help="A policy file.")]


def change(
    old: PolicyFile,
    new: PolicyFile,
    everything: Annotated[bool, typer.Option("--all", help="Neutral changes too, line by line.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print what differs between two policy files: what widens, what narrows, what only reads otherwise, and what follows from it."""
    with ending_clearly():
        before, after = read(old, is_earlier=True), read(new)
        found = difference(before, after)
        if as_json:
            say(json.dumps({"old": before.version, "new": after.version, "changes": [_as_dict(it) for it in found]}))
            return
        for line in lines(found, before, after, everything=everything):
            say(line)


def read(file: Path, *, is_earlier: bool = False) -> Policy:
    """The policy in a file. Raises Misused where it cannot be read, NotDone with every fault where it is not sound."""
    try:
        return load(file, is_earlier=is_earlier)
    except OSError as error:
        raise Misused(f"{file} cannot be read ({type(error).__name__}).") from None
    except PolicyRefused as error:
        raise NotDone(f"{file} is no policy that can be used:\n{error}") from None


def lines(found: Sequence[Change], before: Policy, after: Policy, *, everything: bool) -> Iterator[str]:
    """What differs, a line for each change that matters, and what follows."""
    told = tuple(found)
    for it in told:
        if everything or it.is_material or it.effect is not Effect.NEUTRAL:
            yield str(it)
    counts = Counter(it.effect for it in told)
    counted = ", ".join(f"{counts[effect]} {effect}" for effect in Effect)
    yield f"{before.version} -> {after.version}: {counted}, {len(material(told))} of them material."
    if not is_another_policy(told):
        yield "The two say the same."
    elif widenings(told):
        yield "Nothing collected before may be used so until its owner says yes. People are told:"
        yield from (f"  {sentence}" for sentence in widened(told, before, after))
    elif noticed(told, before, after):
        yield "Nobody need be asked. It is shown prominently:"
        yield from (f"  {sentence}" for sentence in noticed(told, before, after))
    else:
        yield "Nobody need be asked or told."


def _as_dict(it: Change) -> dict[str, object]:
    return {"effect": it.effect, "material": it.is_material, "key": list(it.key), "before": it.before, "after": it.after}
