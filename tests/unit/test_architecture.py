"""The house is built as its plan says: known rooms, no doors between services, words without pipes, nothing of anybody's machine."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("orders", "payments", "shipping", "notifications")
SOURCES = sorted([*(ROOT / "services").rglob("*.py"), *(ROOT / "shared").rglob("*.py")])

ROOMS = {"__init__", "__main__", "domain", "gateway", "handlers", "service", "settings", "store"}
OWN_ROOMS = {
    "orders": {
        *("deadlines", "intake", "keyboard", "open_orders", "oversight", "oversight_store", "parts", "watch"),
        *("request_handlers", "request_store", "requests", "rights", "errands"),
        *("department_table", "reporting", "sales", "sales_store", "suppression"),
        *("incident_door", "incident_store", "incidents"),
        *("publications", "publication_store", "publishing", "staff", "persons"),
    },
    "payments": {"persons", "retention", "staff"},
    "shipping": {"commands", "paper", "persons", "retention", "staff", "typesetting"},
    "notifications": {
        *("composing", "letters", "mail_format", "persons", "retention"),
        *("campaign_store", "campaigns", "circulars", "circulation", "gate", "mailing", "links"),
        *("difficulties", "difficulty_door", "difficulty_letters", "personal_letters", "entrusting"),
        *("friends", "friend_store", "friend_door", "inquiries", "inquiry_store", "desk", "staff"),
    },
}
STORES = {
    "store.py",
    "incident_store.py",
    "campaign_store.py",
    "open_orders.py",
    "oversight_store.py",
    "persons.py",
    "publication_store.py",
    "request_store.py",
    "retention.py",
    "sales_store.py",
    "friend_store.py",
    "inquiry_store.py",
}  # where SQL may stand
FOLDERS = {"gateway", "schema", "templates", "fonts"}
WITHOUT_A_PARTY = {"orders"}

TRANSPORTS = {
    *(
        "nameko",
        "kombu",
        "amqp",
        "eventlet",
        "requests",
        "urllib3",
        "aiohttp",
        "werkzeug",
        "tenacity",
        "smtplib",
        "socket",
        "http",
    ),
    *("psycopg", "yoyo", "sqlite3", "nacl"),
}
PIPES = {
    *("shared.delivery", "shared.database", "shared.settings", "shared.logs", "shared.metrics", "shared.http_door"),
    *("shared.http_client", "shared.sealing", "shared.keyring", "shared.runtime", "shared.parts", "shared.cli", "deploy"),
}
NO_NAMES_FOR_A_ROOM = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "base", "misc", "core"}
MOST_LINES = 400


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), place(path))


def imports(path: Path) -> set[str]:
    """Every module that a file names in an import anywhere, those for annotations alone included."""
    named: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path)}: a relative import hides where it leads"
            module = node.module or ""
            named |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return named


def leads_to(named: set[str], forbidden: set[str]) -> set[str]:
    return {name for name in named for module in forbidden if name == module or name.startswith(f"{module}.")}


def test_there_are_these_four_services() -> None:
    found = {path.name for path in (ROOT / "services").iterdir() if (path / "__init__.py").exists()}
    assert found == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_known_rooms_and_no_other(service: str) -> None:
    folder = ROOT / "services" / service
    files = {path.stem for path in folder.glob("*.py")}
    folders = {path.name for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= FOLDERS
    assert files <= ROOMS | OWN_ROOMS[service]
    has = files | (folders & ROOMS)
    assert has >= ROOMS - ({"gateway"} if service in WITHOUT_A_PARTY else set())


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_no_other_service_nor_what_starts_it(service: str) -> None:
    forbidden = {f"services.{other}" for other in SERVICES if other != service} | {"shared.cli", "deploy", "tests"}
    for path in (ROOT / "services" / service).rglob("*.py"):
        assert not leads_to(imports(path), forbidden), place(path)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("room", ["domain", "handlers"])
def test_domain_and_handlers_know_no_transport_and_no_database(service: str, room: str) -> None:
    pipes = ("service", "store", "open_orders", "gateway", "settings", "keyboard", "watch")
    own_pipes = {f"services.{service}.{pipe}" for pipe in pipes}
    path = ROOT / "services" / service / f"{room}.py"
    assert not leads_to(imports(path), TRANSPORTS | PIPES | own_pipes), place(path)


@pytest.mark.parametrize("service", SERVICES)
def test_a_domain_looks_at_no_clock_and_rolls_no_dice(service: str) -> None:
    path = ROOT / "services" / service / "domain.py"
    assert not leads_to(imports(path), {"random", "secrets", "uuid", "time", "os"}), place(path)
    called = {
        node.func.attr for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & {"now", "utcnow", "today"}, "time is an argument"


@pytest.mark.parametrize("service", SERVICES)
def test_sql_stands_in_the_store_alone(service: str) -> None:
    statement = re.compile(r"\b(select\s.+\sfrom|insert\s+into|update\s+\w+\s+set|delete\s+from)\b", re.IGNORECASE | re.DOTALL)
    for path in (ROOT / "services" / service).rglob("*.py"):
        module = tree(path)
        docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(module) if isinstance(node, _WITH_DOCSTRING)}
        texts = {node.value for node in ast.walk(module) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        if any(statement.search(text) for text in texts - docstrings):
            assert path.name in STORES, place(path)


def test_shared_knows_no_service() -> None:
    for path in (ROOT / "shared").rglob("*.py"):
        assert not leads_to(imports(path), {"services", "tests"}), place(path)


def test_the_shared_words_know_no_pipe() -> None:
    for path in (ROOT / "shared" / "contracts").rglob("*.py"):
        assert not leads_to(imports(path), TRANSPORTS | PIPES), place(path)


def test_the_sandboxes_share_nothing_with_what_they_test() -> None:
    for path in (ROOT / "deploy" / "sandbox").rglob("*.py"):
        assert not leads_to(imports(path), {"services", "shared", "deploy.local", "tests"}), place(path)


def test_no_room_has_a_name_that_says_nothing() -> None:
    for path in [*SOURCES, *(ROOT / "deploy").rglob("*.py")]:
        parts = path.relative_to(ROOT).with_suffix("").parts
        assert not NO_NAMES_FOR_A_ROOM & set(parts), place(path)


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_a_file_fits_in_a_head(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) < MOST_LINES


# ── docstrings ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

_Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_WITH_DOCSTRING = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Module)
# A class whose members are its whole meaning, and a name that says all of it, need no sentence.
_SELF_EVIDENT_BASES = {"StrEnum", "IntEnum", "Enum", "NamedTuple", "Protocol", "OrderEvent", "Event", "Word", "Exception"}


def public(path: Path) -> Iterator[_Documented]:
    """The module's public classes and functions; what its classes hold is told by their own."""
    for node in tree(path).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node


def is_self_evident(node: _Documented) -> bool:
    if isinstance(node, ast.ClassDef):
        bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
        is_value = any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
        return bool(bases & _SELF_EVIDENT_BASES) or is_value or any(base.endswith("Store") for base in bases)
    body = [statement for statement in node.body if not isinstance(statement, ast.Pass)]
    return len(body) <= 1  # one expression, said by its name


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_what_is_public_says_what_it_is(path: Path) -> None:
    mute = {node.name for node in public(path) if ast.get_docstring(node) is None and not is_self_evident(node)}
    assert mute == set()


@pytest.mark.parametrize("path", [path for path in SOURCES if path.read_text("utf-8").strip()], ids=place)
def test_every_room_begins_with_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(tree(path))


# ── what must not stand in the repository ────────────────────────────────────────────────────────────────────────────────────

# Written so that this file does not hold what it looks for.
FORBIDDEN = {
    "a home folder": re.compile(r"/" + r"(?:home|Users)/[A-Za-z0-9._-]+/|/" + r"root/"),
    "a folder of one machine": re.compile(r"(?<![\w.$}/-])/" + r"work/"),
    "an address of a package index": re.compile(
        r"--(?:extra-)?index-" + r"url|\b(?:test\.)?py" + r"pi\.org/simple|/" + r"simple/?\s"
    ),
}


def tracked_texts() -> list[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a working copy: which files are tracked cannot be told")
    texts = []
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and b"\0" not in (content := path.read_bytes()):
            texts.append((name, content.decode("utf-8", errors="replace")))
    return texts


def test_nothing_of_anybody_s_machine_and_no_index_stands_in_the_repository() -> None:
    found = [
        f"{name}: {what}"
        for name, text in tracked_texts()
        for what, pattern in FORBIDDEN.items()
        if pattern.search(text) and name != "tests/unit/test_architecture.py"
    ]
    assert found == []
