"""`python -m deploy.local`: the stack of this clone, up, down and looked at."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from deploy.local.configuration import SERVICES
from deploy.local.processes import StartError
from deploy.local.stack import ROOT, Stack

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The stack of this clone: private servers, sandboxes and the four services. Exit codes: 0 done, 1 not done, 2 usage.",
)
Folder = Annotated[Path, typer.Option("--folder", help="Where the stack keeps data, secrets, logs and process ids.")]
_FOLDER = ROOT / ".run"


@app.command()
def up(
    service: Annotated[str, typer.Option(help=f"Start only this one again: {', '.join(SERVICES)}.")] = "",
    clustered: Annotated[
        bool,
        typer.Option("--clustered", help="In a new folder: three brokers that are one, and a standby for each database server."),
    ] = False,
    encrypted: Annotated[
        bool,
        typer.Option(
            "--tls", help="In a new folder: every line between the programs is TLS, by an authority of the folder's own."
        ),
    ] = False,
    folder: Folder = _FOLDER,
) -> None:
    """Start what is missing and leave it running; write the addresses and tokens to <folder>/env."""
    if service and service not in SERVICES:
        raise typer.BadParameter(f"there is no service of this name; there are {', '.join(SERVICES)}")
    stack = Stack(folder, clustered=clustered, encrypted=encrypted)
    try:
        if service:
            stack.restart(service)
            typer.echo(f"{service.capitalize()} is ready at {stack.env[f'{service.upper()}_HTTP_URL']}.")
            return
        stack.up(typer.echo)
    except StartError as error:
        _end(error)
    typer.echo(f"It runs. Addresses and tokens: {stack.folder / 'env'}; logs: {stack.folder / 'logs'}; `make down` ends it.")


@app.command()
def down(folder: Folder = _FOLDER) -> None:
    """End everything that runs in the folder; data, secrets and logs stay."""
    Stack(folder).down()
    typer.echo("It is down.")


@app.command()
def status(folder: Folder = _FOLDER) -> None:
    """Show what runs where. Exit code 1 when a service does not run."""
    rows = Stack(folder).status()
    for name, pid, address in rows:
        typer.echo(f"{name:14} {f'process {pid}' if pid else '-':16} {address}")
    if not all(pid for name, pid, _ in rows if name in SERVICES):
        raise typer.Exit(1)


@app.command()
def clean() -> None:
    """End what runs in this clone's .run and .demo, and remove both with their data."""
    for name in (".run", ".demo"):
        Stack(ROOT / name).remove()


def _end(error: StartError) -> NoReturn:
    typer.echo(str(error), err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    app(prog_name="python -m deploy.local")
