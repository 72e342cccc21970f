"""A service's custody on a real keyring, without its process: a vault, a keyring of intake keys, a master in a file.

As a program of its own (`begin`) it opens many times, or dies in the middle of an opening.
"""

# isort: off
import os

os.environ.setdefault("PSYCOPG_WAIT_FUNC", "wait_selector")  # as the services do: see shared.database
# isort: on

import base64
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from shared.custody import keys
from shared.custody.envelopes import Envelope, PartName
from shared.custody.master import FileMaster
from shared.custody.permits import PolicyPermits
from shared.custody.vault import Opening, PartToKeep, Vault
from shared.database import Database
from shared.keyring import Keyring
from shared.policy import load

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SHOP = "https://one.example"
VERSION = load().version
PURPOSES = {"shipping": "fill_order", "payments": "billing", "notifications": "order_news"}
PARTS = {"shipping": "recipient", "payments": "billing", "notifications": "contact"}


def a_master_file(folder: Path) -> Path:
    file = folder / "master"
    if not file.exists():
        file.write_bytes(base64.b64encode(os.urandom(32)))
        file.chmod(0o600)
    return file


@dataclass
class Custody:
    """`url` is the keyring's address as the service's own role; another one of the same `url` and `file` is another process."""

    url: str
    file: Path
    service: str = "shipping"
    database: Database = field(init=False)
    master: FileMaster = field(init=False)
    vault: Vault = field(init=False)
    keyring: Keyring = field(init=False)

    def __post_init__(self) -> None:
        self.database = Database(self.url, name=f"{self.service}.keyring")
        self.master = FileMaster.read(self.file)
        permits = PolicyPermits({VERSION: load()})
        self.vault = Vault(self.service, self.database, self.master, permits)
        self.keyring = Keyring(self.service, self.database, self.master)

    def name(self, customer: str, number: str) -> PartName:
        return PartName(SHOP, customer, number, PARTS[self.service])

    def keep(self, *names: PartName) -> list[Envelope]:
        """What each of these names says, in an envelope of its own."""
        taken = self.vault.take_in([PartToKeep(name, VERSION, text_of(name)) for name in names], AT)
        return [envelope for envelope in taken if envelope is not None]

    def endings(self, wishes: list[tuple[PartName, Envelope]], purpose: str = "") -> list[str]:
        """What became of each wish: `opened` (and then it was the right text), or the code of the refusal."""
        openings = [Opening(name, envelope) for name, envelope in wishes]
        results = self.vault.open(openings, purpose=purpose or PURPOSES[self.service], at=AT)
        endings = []
        for (name, _), result in zip(wishes, results, strict=True):
            plaintext = getattr(result, "plaintext", None)
            assert plaintext is None or plaintext == text_of(name)
            endings.append("opened" if plaintext is not None else str(getattr(result, "code", "?")))
        return endings

    def opened(self, name: PartName, envelope: Envelope, **wish: Any) -> Any:
        """What came of one wish."""
        return self.vault.open([Opening(name, envelope)], at=AT, **wish)[0]

    def close(self) -> None:
        self.database.close()


def text_of(name: PartName) -> bytes:
    return orjson.dumps(name._asdict())


def begin(custody: Custody, what: str, number: int = 0) -> subprocess.Popen[bytes]:
    """Another process of the same service: `opens` 60 times in 20 transactions, or `dies` before its second commit."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "tests.integration.custody_bench",
        custody.url,
        str(custody.file),
        what,
        str(number),
    ]
    return subprocess.Popen(command, cwd=Path(__file__).resolve().parents[2])


def _main(url: str, file: str, what: str, number: str) -> None:
    it = Custody(url, Path(file))
    name = it.name("c-1", f"A-{number}")
    (envelope,) = it.keep(name)
    if what == "opens":
        for _ in range(20):
            it.endings([(name, envelope)] * 3)
        return
    it.endings([(name, envelope)])
    add = keys.add_entries

    def add_and_die(*args: object) -> None:
        add(*args)  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGKILL)

    keys.add_entries = add_and_die  # type: ignore[assignment]
    it.endings([(name, envelope)])


if __name__ == "__main__":
    _main(*sys.argv[1:])
