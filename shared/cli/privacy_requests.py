"""`brownpaper privacy requests` and `brownpaper privacy prove`: what persons asked for, what each waits for, and the proof of an erasure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from shared.cli import settings as cli_settings
from shared.cli.doors import Answered, Door
from shared.cli.sessions import As, PasswordStdin, session, told_why
from shared.cli.storefront import EnvFile
from shared.cli.terminal import Misused, NotDone, ending_clearly, say
from shared.custody.certificates import Proof, prove
from shared.policy import Policy, PolicyRefused, VersionsRefused, load_versions

KEEP_KEYS = "Keep them elsewhere with `brownpaper privacy receipt-keys --save FILE`, and prove with --keys FILE."
_KEY_MEMBERS = {"service", "key_id", "public_key"}


def requests(
    *,
    who: As,
    password_stdin: PasswordStdin = False,
    also_ended: Annotated[bool, typer.Option("--all", help="Those that have ended too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="The most to show.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    env: EnvFile = None,
) -> None:
    """List what persons asked for and is open, the oldest first, with what each waits for."""
    with ending_clearly():
        with _session(env, who, password_stdin) as door:
            answer = door.get_json("/requests", state="all" if also_ended else "open", limit=limit)
        if as_json:
            say(json.dumps(answer))
        else:
            for line in lines(answer["items"], datetime.now(UTC)):
                say(line)


def prove_erasure(
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="The erasure's request id.")],
    *,
    source: Annotated[
        str | None, typer.Option("--source", help="The shop's URI; needed only where several used this id.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="Read the certificate from this file and ask nobody; wants --keys."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write the certificate to this file, to prove it elsewhere.")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", metavar="FILE", help="Believe these public keys alone, kept by `privacy receipt-keys`."),
    ] = None,
    policies: Annotated[
        Path | None,
        typer.Option(
            "--policies",
            metavar="DIR",
            help="Where versions of the policy lie besides the release's; without it the folder that POLICY_FOLDER names.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    who: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="The officer who asks for the certificate, where there is no --file."),
    ] = None,
    password_stdin: PasswordStdin = False,
    env: EnvFile = None,
) -> None:
    """Verify the certificate of an erasure: signatures, holders by the policy, what was left, dates. Exit code 1 where it proves nothing.

    The keys are those that orders shows now, unless others are given; those that came with a certificate are not believed.
    """
    with ending_clearly():
        if file is not None and keys is None:
            raise Misused(f"Nothing is proved without trusted keys: give a file of them with --keys. {KEEP_KEYS}")
        if file is not None:
            certificate = _read(file)
        elif who is None:
            raise Misused("Say who asks for the certificate with --as, or where it lies with --file.")
        else:
            with _session(env, who, password_stdin) as door:
                certificate = _fetch(door, request, source)
        trusted = _keys_in(keys) if keys is not None else _open_door(env).get_json("/receipt_keys")
        if save is not None:
            save.write_text(json.dumps(certificate, indent=1) + "\n", "utf-8")
        proof = prove(certificate, _versions(policies, env), trusted)
        faults = [*proof.faults, *([] if proof.request == request or proof.faults else [f"it is of request {proof.request}"])]
        if faults:
            raise NotDone("\n".join([f"The certificate of {request} proves nothing:", *faults]))
        for line in proof_lines(proof):
            say(line)
        if keys is None:
            say(f"Believed were the keys that orders shows now. {KEEP_KEYS}")


def receipt_keys(
    save: Annotated[Path, typer.Option("--save", metavar="FILE", help="Where to write them: a place that is not this stack's.")],
    env: EnvFile = None,
) -> None:
    """Keep the public keys that receipts and certificates are signed with. What was kept before must be among them."""
    with ending_clearly():
        shown = _open_door(env).get_json("/receipt_keys")
        lost = [key["key_id"] for key in (_keys_in(save) if save.exists() else []) if key not in shown]
        if lost:
            raise NotDone(f"Orders does not show any more what is in {save}: {', '.join(lost)}. Nothing was written.")
        save.write_text(json.dumps(shown, indent=1) + "\n", "utf-8")
        say(f"{len(shown)} keys are in {save}.")


def lines(items: list[Mapping[str, Any]], now: datetime) -> Iterator[str]:
    """A line for each request; no person is named."""
    for item in items:
        since = datetime.fromisoformat(item["received_at"])
        yield f"{item['kind']} {item['request']}: {item['state']}, {(now - since).days} days, {waiting(item)}"
    yield f"{len(items)} shown." if items else "No request is open."


def waiting(item: Mapping[str, Any]) -> str:
    """What one request waits for, in words."""
    wait = item["waits_for"]
    if "orders" in wait:
        return f"waits for the end of {', '.join(wait['orders'])}"
    if "legal_hold" in wait:
        return f"waits for the legal hold of {', '.join(f'{order} ({clause})' for order, clause in sorted(wait['legal_hold'].items()))}"
    if wait.get("services"):
        return f"waits for {', '.join(wait['services'])} ({wait['deed']})"
    reasons = ", ".join(reason["code"] for reason in item["reasons"])
    return f"ended ({reasons})" if reasons else "ended" if item["closed_at"] else "goes on by itself"


def proof_lines(proof: Proof) -> Iterator[str]:
    """What a certificate without a fault says, and no more than is true."""
    yield f"Erasure {proof.request}: every holder by the policy has signed for it: {', '.join(proof.holders)}."
    yield f"Unreadable by us since {_time(proof.unreadable_by_us_since)}: the keys are destroyed, the rows are swept."
    when = _time(proof.unreadable_by_anybody_from)
    yield f"Unreadable by anybody from {when}: by then the last rotated key and the last backup of a key are gone."
    if proof.unreadable_by_anybody_from and proof.unreadable_by_anybody_from > datetime.now(UTC):
        yield "Until then whoever has an old backup of a keyring, its old master key and an old copy of the data could still read."


@contextmanager
def _session(env: Path | None, who: str, from_stdin: bool) -> Iterator[Door]:
    """The door of orders with a session of this officer's, which ends with the command."""
    with session(cli_settings.load(env), "orders", who, from_stdin=from_stdin) as seated, told_why():
        yield seated.door


def _open_door(env: Path | None) -> Door:
    """The door of orders as anybody has it."""
    settings = cli_settings.load(env)
    settings.require("ORDERS_HTTP_URL")
    ca_file = settings.get("DOORS_CA_FILE")
    return Door("The orders service", settings["ORDERS_HTTP_URL"], ca_file=ca_file, patience_seconds=10)


def _fetch(door: Door, request: str, source: str | None) -> Any:
    try:
        found = door.get_json(f"/certificates/{quote(request, safe='')}")["items"]
    except Answered as error:
        if error.status == 404:
            raise NotDone(f"There is no erasure {request}.") from None
        raise
    chosen = [it for it in found if source in (None, it["source"])]
    if len(chosen) > 1:
        raise Misused("Several shops have an erasure of this id: say which one with --source.")
    if not chosen or chosen[0]["certificate"] is None:
        state = f": it is {chosen[0]['state'].replace('_', ' ')}" if chosen else ""
        raise NotDone(f"The erasure {request} has no certificate{state}.")
    return chosen[0]["certificate"]


def _versions(folder: Path | None, env: Path | None) -> dict[str, Policy]:
    """Every version of the policy that is known here. Raises NotDone where a file of one cannot be used."""
    told = str(folder) if folder is not None else cli_settings.load(env).get("POLICY_FOLDER")
    try:
        return load_versions(Path(told) if told else None)
    except (PolicyRefused, VersionsRefused) as error:
        raise NotDone(f"The versions of the policy cannot be used:\n{error}") from None


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except ValueError:
        raise Misused(f"{file} holds no JSON.") from None


def _keys_in(file: Path) -> list[dict[str, str]]:
    found = _read(file)
    if not isinstance(found, list) or not all(isinstance(one, dict) and one.keys() >= _KEY_MEMBERS for one in found):
        raise Misused(f"{file} holds no keys as `brownpaper privacy receipt-keys` writes them.")
    return found


def _time(at: datetime | None) -> str:
    return at.astimezone(UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00") + " UTC" if at else "an unknown time"
