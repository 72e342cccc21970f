"""How the command line speaks and ends: one clear sentence, an exit code, never a traceback or a buyer's datum."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
import typer
from kombu.exceptions import OperationalError
from rich.console import Console

from shared.broker_address import BrokerUntrusted

DONE, NOT_DONE, USAGE, INTERRUPTED = 0, 1, 2, 130

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class NotDone(Exception):
    """What was asked could not be done. The message is one sentence for a person; it holds no personal datum."""

    exit_code = NOT_DONE


class Misused(NotDone):
    """The command was asked in a way that cannot work: a missing setting, an unknown file."""

    exit_code = USAGE


def say(text: str) -> None:
    """Print one line of plain text (no markup is read from it)."""
    out.print(text, markup=False)


def complain(text: str) -> None:
    """Print one line of plain text to standard error."""
    err.print(text, markup=False)


@contextmanager
def ending_clearly() -> Iterator[None]:
    """Turn what goes wrong inside a command into one sentence and an exit code."""
    try:
        yield
    except NotDone as error:
        complain(str(error))
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        complain("Stopped.")
        raise typer.Exit(INTERRUPTED) from None
    except BrokerUntrusted as error:
        complain(f"{error}.")
        raise typer.Exit(NOT_DONE) from None
    except (requests.RequestException, OperationalError, OSError) as error:
        # The message of a library may hold a URL with a password or the body that was sent: the kind is enough.
        complain(f"A connection or a file failed ({type(error).__name__}). Is the stack up?")
        raise typer.Exit(NOT_DONE) from None
