"""The README's way to a first order, walked: its own code against a running stack, to the parcel at its door."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from deploy.local.processes import wait_until
from deploy.local.stack import Stack
from tests.integration.facts import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BROWNPAPER = Path(sys.executable).with_name("brownpaper")
PHP_AMQPLIB = Path("/usr/share/php/PhpAmqpLib/autoload.php")  # where Debian's package has it
PACKER, PASSWORD = "a.packer", "a sentence nobody guesses"


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The run's own stack where there is one, else one of this module's own; it is up."""
    try:
        stack = request.getfixturevalue("stack")
    except pytest.FixtureLookupError:
        stack = None
    if isinstance(stack, Stack):
        yield stack
        return
    own = Stack(tmp_path_factory.mktemp("readme") / "run", fresh=True, sandbox_arguments=("--seed", "1"))
    try:
        own.up()
        yield own
    finally:
        own.remove()


@pytest.fixture
def clone(running: Stack, tmp_path: Path) -> Path:
    """A folder that looks as the clone does after `make up`: `.run`, `.venv` and the documents."""
    (tmp_path / ".run").symlink_to(running.folder)
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    if PACKER not in _run([str(BROWNPAPER), "staff", "list"], tmp_path):
        for words in (["add", PACKER, "--role", "warehouse"], ["acknowledge", PACKER]):
            _run([str(BROWNPAPER), "staff", *words, "--password-stdin"], tmp_path, says=f"{PASSWORD}\n")
    return tmp_path


def _block(language: str, says: str) -> str:
    """The one block of the README in this language that holds these words."""
    (found,) = [body for body in re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL) if says in body]
    return str(found)


def _run(command: list[str], folder: Path, says: str = "") -> str:
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    done = subprocess.run(
        command, cwd=folder, env=environment, input=says, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _deliver(running: Stack, clone: Path, number: str) -> None:
    """The README's last steps: the crew works, and the order is looked at until it is completed."""
    url, token = running.env["ORDERS_HTTP_URL"], running.env["STAFF_TOKEN"]

    def state() -> str:
        answer = requests.get(f"{url}/orders/{number}", headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_SECONDS)
        return str(answer.json().get("state"))

    assert wait_until(lambda: state() == "picking", PATIENCE_SECONDS), state()
    papers = clone / "papers"
    _run([str(BROWNPAPER), "crew", "--papers", str(papers), "--as", PACKER, "--password-stdin"], clone, says=f"{PASSWORD}\n")
    assert wait_until(lambda: state() == "completed", PATIENCE_SECONDS), state()
    assert f"Order {number}: completed" in _run([str(BROWNPAPER), "orders", "show", number], clone)
    assert list((papers / "labels").glob("*.pdf"))
    assert list((papers / "pick_lists").glob("*.pdf"))
    assert (running.folder / "books" / "mails").is_dir()
    assert (running.folder / "logs" / "orders.log").is_file()


def test_an_order_over_http_in_the_clear_is_delivered(running: Stack, clone: Path) -> None:
    said = _run(["sh", "-c", _block("sh", "$ORDERS_HTTP_URL/events")], clone)
    number = re.search(r'"order_number": ?"([^"]+)"', said)
    assert number is not None
    assert '"answer":"order_accepted"' in said
    _deliver(running, clone, number[1])


def test_an_order_over_amqp_sealed_by_python_is_delivered(running: Stack, clone: Path) -> None:
    _deliver(running, clone, _run([sys.executable, "-c", _block("python", "SealedBox")], clone).strip())


def test_an_order_over_amqp_sealed_by_php_is_delivered(running: Stack, clone: Path) -> None:
    php = shutil.which("php")
    if php is None or not PHP_AMQPLIB.is_file():
        pytest.skip("PHP and Debian's package php-amqplib are not on this machine")
    (clone / "vendor").mkdir()
    (clone / "vendor" / "autoload.php").write_text(f"<?php require '{PHP_AMQPLIB}';\n")
    (clone / "order.php").write_text(_block("php", "sodium_crypto_box_seal"))
    _deliver(running, clone, _run([php, "order.php"], clone).strip())
