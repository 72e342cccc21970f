"""`brownpaper privacy`: the policy compiled, and the running servers held against it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import psycopg
import requests
import typer

from deploy.local.stack import ROOT
from shared.cli import incidents, privacy_requests
from shared.cli import settings as cli_settings
from shared.cli.complaints import complaints
from shared.cli.live_servers import Catalogues, database_names_of, live_broker
from shared.cli.storefront import EnvFile
from shared.cli.terminal import NotDone, complain, ending_clearly, say
from shared.delivery import topology
from shared.metrics import labels_by_metric
from shared.policy import Policy, PolicyRefused, load
from shared.policy.compilation import DOCUMENTS, MODELS, compile_all
from shared.policy.compile_broker import WiringRefused
from shared.policy.compile_databases import Cluster
from shared.policy.event_models import event_differences, label_differences, never_differences, part_differences
from shared.policy.live_broker import broker_differences
from shared.policy.live_databases import cluster_differences
from shared.policy.live_settings import settings_differences
from shared.policy.server_rules import Difference

app = typer.Typer(no_args_is_help=True, help="The privacy policy: compile it, and hold the running servers against it.")
app.command(name="requests")(privacy_requests.requests)
app.command(name="prove")(privacy_requests.prove_erasure)
app.command(name="receipt-keys")(privacy_requests.receipt_keys)
app.add_typer(complaints, name="complaints")
_DOCUMENTS = ROOT / "docs" / "privacy"
_ADMIN_URLS: dict[Cluster, str] = {"data": "ADMIN_POSTGRES_URL", "keyring": "ADMIN_KEYRING_POSTGRES_URL"}


@app.callback()
def keep() -> None:
    """The privacy policy."""


@app.command(name="compile")
def compile_policy(
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A folder for all that is compiled; without it only what stands in the repository."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where code, models or a document differ from the policy.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse every check that is still pending.")] = False,
) -> None:
    """Compile the policy: broker and database rules, models, outgoing calls, retention, staff, canaries, documents."""
    with ending_clearly():
        policy = read_policy(strict=strict)
        try:
            texts = compile_all(policy, topology.wiring())
        except WiringRefused as error:
            raise NotDone(f"The topology and the policy disagree:\n{error}") from None
        wrong = code_differences(policy)
        files = {out / name: text for name, text in texts.items()} if out is not None else committed(texts)
        if not check:
            for path, text in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
            say(f"{len(files)} files written to {out or f'{_DOCUMENTS} and {ROOT}/shared/contracts'}.")
        wrong += file_differences(files)
        rules = sum(1 for _ in policy.rules())
        say(f"Policy {policy.version}: {rules} rules, {len(policy.checks)} checks, {len(policy.pending)} pending.")
        say(f"Clauses that nothing watches yet: {', '.join(map(str, policy.clauses_awaiting())) or 'none'}.")
        say(f"Clauses watched in part: {', '.join(map(str, policy.clauses_in_part())) or 'none'}.")
        if wrong:
            raise NotDone("\n".join([*wrong, f"{len(wrong)} differences."]))


@app.command()
def diff(
    open_incidents: Annotated[
        bool, typer.Option("--incidents/--no-incidents", help="Open an incident for each difference, where orders can be told.")
    ] = True,
    env: EnvFile = None,
) -> None:
    """Hold the running broker and databases against the policy; each difference is named with its clauses and opens an incident.

    Exit code 1 if there is one.
    """
    with ending_clearly():
        settings = cli_settings.load(env)
        settings.require("ADMIN_AMQP_URI", "ORDERS_DATABASE_URL", *_ADMIN_URLS.values())
        folder = env.resolve().parent if env is not None else _folder()
        found = differences(read_policy(), settings, folder)
        for difference in found:
            say(str(difference))
        if found and open_incidents:
            _open_incidents(settings, found)
        if found:
            raise NotDone(f"The running servers differ from the policy in {len(found)} place{'s' if len(found) > 1 else ''}.")
        say("The running servers are as the policy says.")


def _open_incidents(settings: cli_settings.Settings, found: list[Difference]) -> None:
    """Say to orders what differs; where it cannot be told, that is said, and the differences stand as they are."""
    try:
        numbers = incidents.notice_differences(settings, [" ".join(it.rule) for it in found])
    except (NotDone, requests.RequestException) as error:
        complain(f"No incident could be opened ({type(error).__name__}): orders was not told.")
        return
    if numbers:
        say(f"Incidents: {', '.join(map(str, numbers))}. See `brownpaper privacy incidents list`.")


def read_policy(*, strict: bool = False) -> Policy:
    """The policy, or NotDone with every fault and its line."""
    try:
        return load(strict=strict)
    except PolicyRefused as error:
        raise NotDone(f"The policy cannot be used:\n{error}") from None


def code_differences(policy: Policy) -> list[str]:
    """Where the event models and the metrics are not as the policy says."""
    return [
        *part_differences(policy),
        *event_differences(policy),
        *never_differences(policy),
        *label_differences(policy, labels_by_metric()),
    ]


def committed(texts: Mapping[str, str]) -> dict[Path, str]:
    """What of all that is compiled stands in the repository, by its place: the documents, and the models' personal members."""
    return {_DOCUMENTS / name: texts[name] for name in DOCUMENTS} | {ROOT / name: texts[name] for name in MODELS}


def file_differences(files: Mapping[Path, str]) -> list[str]:
    """The files that are missing, or say something else than the policy makes of them."""
    return [
        f"{path}: it is not what the policy makes of it; run `brownpaper privacy compile`"
        for path, text in files.items()
        if not path.is_file() or path.read_text("utf-8") != text
    ]


def differences(policy: Policy, settings: cli_settings.Settings, folder: Path) -> list[Difference]:
    """Every difference between the policy and the servers of a running stack. Raises NotDone."""
    try:
        found = broker_differences(policy, topology.wiring(), live_broker(settings, folder), markers=[topology.marker()])
    except WiringRefused as error:
        raise NotDone(f"The topology and the policy disagree:\n{error}") from None
    found += settings_differences(policy, settings)
    for cluster, name in _ADMIN_URLS.items():
        exclusive = (folder / cluster).is_dir() or (folder / "compose.env").exists()
        try:
            with Catalogues(settings[name]) as catalogues:
                names = database_names_of(policy, cluster, settings)
                found += cluster_differences(policy, cluster, catalogues.ask, names, exclusive=exclusive)
        except psycopg.Error as error:
            raise NotDone(
                f"The {cluster} server does not answer, or refuses its administrator ({type(error).__name__})."
            ) from None
    return found


def _folder() -> Path:
    found = cli_settings.find_run_file(Path.cwd())
    return found.parent if found is not None else Path.cwd()
