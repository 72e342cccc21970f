"""`brownpaper privacy release`: a part of an order, sealed to an authority's key, by two members of staff."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from deploy.local.databases import KEYRING_SERVICES
from shared.cli import settings as cli_settings
from shared.cli.sessions import session, told_why
from shared.cli.storefront import EnvFile, source_of
from shared.cli.terminal import Misused, ending_clearly, say
from shared.policy import load

_WHY = {
    "policy_not_acknowledged": "One of the two has to acknowledge the policy in force first.",
    "not_granted": "The policy lets no such role give this to an authority.",
    "second_person_needed": "It takes two different members of staff.",
    "release_differs": "What the second member approves is not what the first one proposed.",
    "release_too_old": "It was proposed too long ago: propose it again.",
    "part_not_kept": "There is nothing of this part any more, or there never was.",
    "person_erased": "The person was erased: nobody can read the part.",
    "key_destroyed": "The part's key was destroyed: nobody can read it.",
}


def release(
    order: Annotated[str, typer.Argument(help="The order's number.")],
    *,
    part: Annotated[str, typer.Option("--part", help="recipient, contact or billing.")],
    approved_by: Annotated[list[str], typer.Option("--approved-by", help="A member of staff; give it twice, for two of them.")],
    reference: Annotated[str, typer.Option("--reference", help="The authority's own number of what it asks.")],
    key: Annotated[str, typer.Option("--key", help="The authority's public key: X25519, in base64.")],
    out: Annotated[Path, typer.Option("--out", help="The file for the sealed box; only the authority can read it.")],
    clause: Annotated[str, typer.Option("--clause", help="The promise of the policy, or the addendum, that lets it.")] = "53",
    source: Annotated[str | None, typer.Option("--source", help="The shop, where there is more than one.")] = None,
    passwords_stdin: Annotated[
        bool,
        typer.Option("--passwords-stdin", help="Read the two passwords from the first lines of standard input, in this order."),
    ] = False,
    env: EnvFile = None,
) -> None:
    """Give a part of an order to an authority: the first member proposes it, the second approves it, each with their own password.

    Before the second password is asked for, all that will be released is shown: shop, order, part, the authority's reference and key, and
    the promise that lets it. The approval repeats all of it, and the service refuses one that is not what was proposed, to the letter.
    """
    with ending_clearly():
        if len(approved_by) != 2 or len(set(approved_by)) != 2:
            raise Misused("It takes two different members of staff: give --approved-by twice.")
        settings = cli_settings.load(env)
        service = holder_of(part)
        asked = {"source": source or source_of(settings), "order_number": order, "clause": clause, "dossier": reference}
        asked["authority_key"] = key
        with told_why(_WHY), session(settings, service, approved_by[0], from_stdin=passwords_stdin) as first:
            proposed = first.door.post_json("/staff/releases", asked)["release"]
            for line in shown(proposed, asked, part):
                say(line)
            with session(settings, service, approved_by[1], from_stdin=passwords_stdin) as second:
                approval = f"/staff/releases/{quote(proposed, safe='')}/approval"
                given = second.door.post_json(approval, {**asked, "part": part})
        out.write_text(given["box"] + "\n", "ascii")
        say(f"{proposed}: {part} of {order}, sealed to the authority's key, in {out}. Both stand in the record.")


def holder_of(part: str) -> str:
    """The service that opens a part for an authority. Raises Misused where none does."""
    for hold in load().holds.values():
        if (hold.part, hold.purpose) == (part, "authorities") and hold.service in KEYRING_SERVICES:
            return hold.service
    raise Misused(f"Nobody gives {part} to an authority: it is one of recipient, contact, billing.")


def shown(release: str, asked: Mapping[str, str], part: str) -> Iterator[str]:
    """What the second member approves, line by line: all that is released and to whom, and nothing of the part itself."""
    yield f"{release} is proposed. Whoever approves it agrees that this is released:"
    yield f"  the {part} of order {asked['order_number']} of {asked['source']}"
    yield f"  to whoever asked under {asked['dossier']}, by the promise or addendum {asked['clause']}"
    yield f"  sealed to the key {asked['authority_key']}"


__all__ = ["holder_of", "release"]
