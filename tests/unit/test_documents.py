"""The documents against the code: what they link, name and list exists, and is called what they call it."""

from __future__ import annotations

import functools
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from services.notifications import domain as mails
from services.orders.deadlines import STAGES
from services.orders.domain import State as OrderState
from services.payments.domain import State as PaymentState
from services.shipping.domain import State as ShipmentState
from shared.cli.main import app
from shared.contracts.storefront.refusals import CODES, REJECTIONS
from shared.metrics import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "deploy" / "sandbox" / "README.md"])
FOLDERS = ("services", "shared", "deploy", "tests", "docs")
EXAMPLES = sorted((ROOT / "docs" / "examples").iterdir())
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def _code(text: str) -> list[str]:
    """What stands in the document as code, inline and in blocks."""
    return [*_INLINE.findall(_FENCED.sub("", text)), *(body for _, body in _FENCED.findall(text))]


@functools.cache
def _sources() -> str:
    files = [path for folder in FOLDERS[:3] for path in (ROOT / folder).rglob("*.py")]
    files += [ROOT / "deploy" / "proxy" / "Caddyfile", ROOT / "docker-compose.yml"]  # they read settings of their own
    return "\n".join(path.read_text() for path in files)


def _section(document: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{document} has no section {heading}"
    return found[1]


def _first_column(table: str) -> list[str]:
    return [name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in _INLINE.findall(row)]


@every_document
def test_links_lead_somewhere(document: Path) -> None:
    local = [link.partition("#")[0] for link in _LINK.findall(document.read_text()) if "://" not in link]
    assert [link for link in local if not (document.parent / link).exists()] == []


@every_document
def test_files_named_in_code_exist(document: Path) -> None:
    named = [
        word
        for code in _code(document.read_text())
        for word in re.findall(r"[\w.*/-]+", code)
        if word.startswith(tuple(f"{folder}/" for folder in FOLDERS))
    ]
    # What is written `services/<name>/` ends at the placeholder: its folder is what is named.
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/.")))] == []


@every_document
def test_make_targets_named_in_code_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for code in _code(document.read_text()) for target in re.findall(r"\bmake ([a-z][a-z0-9-]*)", code)}
    assert named <= targets


@every_document
def test_commands_of_brownpaper_named_in_code_exist(document: Path) -> None:
    known = _commands(typer.main.get_command(app))
    named = [
        words
        for code in _code(document.read_text())
        for words in re.findall(r"\bbrownpaper((?: [a-z_]+(?:-[a-z]+)*(?![\w./=-]))+)", code)
    ]
    assert [words for words in named if not words.startswith(known)] == []


def _commands(command: Any, so_far: str = "") -> tuple[str, ...]:
    children = getattr(command, "commands", None)
    if children is None:
        return (so_far,)
    return tuple(name for child, its in children.items() for name in _commands(its, f"{so_far} {child}"))


@every_document
def test_settings_named_in_code_are_read_somewhere(document: Path) -> None:
    named = {
        name for code in _INLINE.findall(document.read_text()) for name in re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", code)
    }
    named -= {"PRECONDITION_FAILED"}  # RabbitMQ's
    # What one service is told stands before its name; what a service reads is the name of a field, in small letters.
    spelt = {name: (name, re.sub("^(ORDERS|PAYMENTS|SHIPPING|NOTIFICATIONS)_", "", name), name.lower()) for name in named}
    assert sorted(name for name, ways in spelt.items() if not any(way in _sources() for way in ways)) == []


@every_document
def test_no_path_of_one_machine_and_no_package_index(document: Path) -> None:
    text = document.read_text()
    assert re.findall(r"(?<![\w.}])/(?:work|home|root|tmp|usr|opt|var|etc|mnt)/\S*", text) == []
    assert re.findall(r"(?i)pypi|index-url|\bsimple/", text) == []


@pytest.mark.parametrize("example", [path for path in EXAMPLES if path.suffix != ".json"], ids=lambda path: path.name)
def test_the_readme_shows_the_examples_as_they_are(example: Path) -> None:
    blocks = [body for _, body in _FENCED.findall((ROOT / "README.md").read_text())]
    assert example.read_text() in blocks


def test_the_table_of_refusal_codes_is_the_codes() -> None:
    text = (ROOT / "docs" / "storefront.md").read_text()
    table = text.partition("<!-- refusal codes: begin -->\n")[2].partition("<!-- refusal codes: end -->")[0]
    answers = {code: "order_rejected" if code in REJECTIONS else "event_refused" for code in CODES}
    rows = ["| code | says | answer |", "|---|---|---|", *(f"| `{code}` | {CODES[code]} | `{answers[code]}` |" for code in CODES)]
    assert table.splitlines() == rows, "the table should be:\n" + "\n".join(rows)


@pytest.mark.parametrize(
    ("heading", "states"),
    [
        ("Order", set(OrderState)),
        ("Payment", set(PaymentState)),
        ("Shipment", set(ShipmentState)),
        ("Mail", {mails.OWED, mails.SENDING, mails.SENT, mails.REFUSED, mails.WITHHELD}),
        ("Held message", {"later", "parked", "done"}),  # a row that is done is no more
    ],
)
def test_the_pictures_hold_exactly_the_states(heading: str, states: set[str]) -> None:
    (picture,) = [body for kind, body in _FENCED.findall(_section("docs/states.md", heading)) if kind == "mermaid"]
    drawn = {name for line in picture.splitlines()[1:] for name in re.findall(r"\b([a-z_]+)\b", line.partition(":")[0])}
    assert drawn == {str(state) for state in states}


def test_the_states_of_held_messages_are_the_tables() -> None:
    schema = (ROOT / "shared" / "delivery" / "schema" / "0001_delivery.sql").read_text()
    assert "check (state in ('later', 'parked'))" in schema


def test_the_deadlines_listed_are_the_deadlines() -> None:
    listed = [row for row in _section("docs/operations.md", "What is stuck").splitlines() if row.startswith("| `")]
    waits = {state: stage.waits_for for state, stage in STAGES.items()}
    assert listed == [
        f"| `{state}` | {_spelt(stage.lasts)} | {waits[state].service} | `{waits[state].event}` | "
        f"{(waits[state].act or '–').replace('_', ' ')} |"
        for state, stage in STAGES.items()
    ]


def _spelt(length: timedelta) -> str:
    return f"{length.days} days" if length.days else f"{length.seconds // 60} minutes"


def test_the_metrics_listed_are_the_metrics() -> None:
    listed = {name.removesuffix("_total") for name in _first_column(_section("docs/operations.md", "Metrics"))}
    assert listed == {family.name for family in REGISTRY.collect()}


def test_the_log_messages_listed_are_written_somewhere() -> None:
    listed = _first_column(_section("docs/operations.md", "Logs"))
    assert listed
    assert [message for message in listed if f'"{message}"' not in _sources()] == []


def test_decisions_are_numbered_and_all_listed() -> None:
    numbers = [path.name[:4] for path in DECISIONS]
    assert numbers == sorted(set(numbers)), "no number twice; a branch may bring later ones first"
    titles = [path.read_text().splitlines()[0] for path in DECISIONS]
    assert [title[:8] for title in titles] == [f"# {path.name[:4]}: " for path in DECISIONS]
    index = (ROOT / "docs" / "decisions" / "README.md").read_text().splitlines()
    listed = [line for line in index if line.startswith("- ")]
    assert listed == [f"- [{title[2:]}]({path.name})" for title, path in zip(titles, DECISIONS, strict=True)]


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_what_why_and_instead_of_what(decision: Path) -> None:
    said = re.findall(r"^\*\*(What|Why|The alternative)\.\*\* ", decision.read_text(), re.MULTILINE)
    assert said == ["What", "Why", "The alternative"]
