"""Nowhere in the product is a certificate not looked at: the words that turn the look off do not stand there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_NAMES = frozenset(
    {
        "CERT_NONE",
        "CERT_OPTIONAL",
        "_create_unverified_context",
        "disable_warnings",
        "InsecureRequestWarning",
        "PROTOCOL_TLSv1",
        "wrap_socket",
    }
)
_TURNED_OFF = frozenset({"verify", "check_hostname", "assert_hostname", "verify_hostname", "ssl_check_hostname"})
_WEAK_MODES = ("sslmode=disable", "sslmode=allow", "sslmode=prefer", "sslmode=require", "sslmode=verify-ca")
# Who opens a connection to the broker: one room, which checks.
_BROKER_ROOM = Path("shared/broker_address.py")
_BROKER_CONNECTIONS = frozenset({"kombu.Connection", "amqp.Connection"})


def faults(text: str, *, opens_brokers: bool = False) -> Iterator[str]:
    """The lines of a module that turn a look at a certificate off, or go round the room that looks."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            if name in _NAMES:
                yield f"{node.lineno}: {name}"
        # As a type it connects nobody: only a call does.
        if isinstance(node, ast.Call) and not opens_brokers and ast.unparse(node.func).lstrip("_") in _BROKER_CONNECTIONS:
            yield f"{node.lineno}: a connection that is not of {_BROKER_ROOM}"
        if isinstance(node, ast.keyword) and node.arg in _TURNED_OFF and _is_false(node.value):
            yield f"{node.value.lineno}: {node.arg}"
        if isinstance(node, ast.Assign) and _is_false(node.value):
            targets = [it.attr for it in node.targets if isinstance(it, ast.Attribute)]
            yield from (f"{node.lineno}: {name}" for name in targets if name in _TURNED_OFF)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and any(mode in node.value for mode in _WEAK_MODES):
            yield f"{node.lineno}: a weak sslmode"


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (False, None)


@pytest.mark.parametrize("folder", ["shared", "services", "deploy"])
def test_no_look_at_a_certificate_is_turned_off(folder: str) -> None:
    modules = sorted((ROOT / folder).rglob("*.py"))
    assert modules
    found = {
        str(path.relative_to(ROOT)): list(faults(path.read_text(), opens_brokers=path.relative_to(ROOT) == _BROKER_ROOM))
        for path in modules
    }
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "requests.get(url, verify=False)",
        "session.verify = False",
        "context.check_hostname = False",
        "context.verify_mode = ssl.CERT_NONE",
        "ssl._create_unverified_context()",
        "urllib3.disable_warnings()",
        "kombu.Connection(uri)",
        "amqp.Connection(host)",
        "psycopg.connect(url + '?sslmode=require')",
    ],
)
def test_each_such_line_is_seen(line: str) -> None:
    assert list(faults(line))


def test_a_type_and_a_look_are_not_taken_for_one() -> None:
    assert list(faults("def f(connection: kombu.Connection) -> None: ...\nadapter.send(request, verify=ca_file or True)")) == []
