"""Where the command line finds the addresses and tokens of a running stack.

The file `.run/env` (KEY=value lines, written by `make up`) is looked for from the working directory upwards; what stands in the
environment wins over it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from shared.cli.terminal import Misused
from shared.lines import is_protected

RUN_FILE = Path(".run") / "env"


class Settings(Mapping[str, str]):
    """Names to values; `require` reports every missing name at once, and every line that may not be used."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: value for name, value in values.items() if value}

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def require(self, *names: str) -> None:
        """Raise Misused naming every one of `names` that has no value, or is a plain line that leaves this machine."""
        missing = [name for name in names if name not in self._values]
        if missing:
            raise Misused(
                f"These settings are missing: {', '.join(missing)}. "
                "Start the stack with `make up` (it writes .run/env), name a file with --env, or set them in the environment."
            )
        plain = [name for name in names if name.endswith(("_URL", "_URI")) and not is_protected(self._values[name])]
        if plain:
            raise Misused(f"These lines leave this machine without being encrypted and checked: {', '.join(plain)}.")


def read_env_file(path: Path) -> dict[str, str]:
    """Read KEY=value lines; blank lines and `#` lines are skipped, `export` and one pair of quotes are taken off.

    Raises Misused where the file cannot be read or a line is neither; the message gives the line's number, not its text.
    """
    values: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise Misused(f"The settings file {path} cannot be read.") from None
    for number, raw in enumerate(lines, start=1):
        line = raw.strip().removeprefix("export ").lstrip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip().isidentifier():
            raise Misused(f"Line {number} of {path} is not KEY=value.")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name.strip()] = value
    return values


def find_run_file(start: Path) -> Path | None:
    """The nearest `.run/env` at or above `start`, or None."""
    for folder in (start, *start.parents):
        if (folder / RUN_FILE).is_file():
            return folder / RUN_FILE
    return None


def load(env_file: Path | None = None, *, environment: Mapping[str, str] | None = None, start: Path | None = None) -> Settings:
    """Settings of the running stack: `env_file`, else the nearest `.run/env`, with the environment on top. Safe to repeat."""
    environment = os.environ if environment is None else environment
    path = env_file if env_file is not None else find_run_file((start or Path.cwd()).resolve())
    return Settings({**(read_env_file(path) if path else {}), **environment})
