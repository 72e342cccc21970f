"""Sandboxes as processes on free ports, and the providers' specs to hold them against."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from jsonschema import Draft4Validator

from tests.integration.facts import PATIENCE_SECONDS

_ROOT = Path(__file__).resolve().parents[3]
_DATA = _ROOT.parent / "shared" / "data"


class Running:
    """One sandbox that runs: its URLs, its books, and a session to talk to it."""

    def __init__(self, process: subprocess.Popen[str], urls: dict[str, str], books: Path) -> None:
        self.process = process
        self.url = urls["url"]
        self.smtp_url = urls.get("smtp_url", "")
        self.books_folder = books
        self.session = requests.Session()
        self.session.trust_env = False

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=PATIENCE_SECONDS, **more)

    def books(self) -> dict[str, Any]:
        return self.ask("GET", "/_books").json()

    def summary(self) -> dict[str, Any]:
        return self.ask("GET", "/_books/summary").json()

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(timeout=PATIENCE_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.session.close()
        return code


def _environment() -> dict[str, str]:
    """Ours, without the credentials that a developer's shell may hold: the tests use the sandboxes' defaults."""
    ours = ("PAYPAL_", "TWOCHECKOUT_", "CARRIER_", "MAILBOX_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Start sandboxes: `start("paypal", "--decline", "1")`. Nothing goes wrong by chance unless a flag says so."""
    running: list[Running] = []

    def start_one(party: str, *flags: str) -> Running:
        books = tmp_path_factory.mktemp(party) / "books"
        command = [sys.executable, "-m", "deploy.sandbox", party, "--books", str(books), "--lose-answers", "0", "--decline", "0"]
        process = subprocess.Popen(
            [*command, "--repeat-webhooks", "0", *flags], cwd=_ROOT, env=_environment(), stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        line = process.stdout.readline()  # it comes once the sandbox listens
        one = Running(process, json.loads(line), books)
        running.append(one)
        return one

    yield start_one
    for one in running:
        if one.process.poll() is None:
            one.stop()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the providers' own specs and samples."""
    if not _DATA.is_dir():
        pytest.skip("the providers' specs are not beside this repository (../shared/data)")
    return _DATA


class Spec:
    """An OpenAPI 3.0 document whose schemas can be held against values."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._components = _as_json_schema(document["components"])

    def check(self, schema: str | dict[str, Any], value: Any) -> None:
        """Fails with the first places where the value does not fit (places only: values may be long)."""
        wanted = {"$ref": f"#/components/schemas/{schema}"} if isinstance(schema, str) else _as_json_schema(schema)
        validator = Draft4Validator({"components": self._components, "allOf": [wanted]})
        faults = [
            f"{error.json_path}: {error.validator} {error.validator_value!r}"[:300] for error in validator.iter_errors(value)
        ]
        assert not faults, faults

    def operation(self, operation_id: str) -> dict[str, Any]:
        for operations in self.document["paths"].values():
            for operation in operations.values():
                if isinstance(operation, dict) and operation.get("operationId") == operation_id:
                    return operation
        raise LookupError(operation_id)

    def answer_schema(self, operation_id: str, status: int) -> dict[str, Any]:
        answer = self.operation(operation_id)["responses"][str(status)]
        answer = self.resolve(answer)
        return answer["content"]["application/json"]["schema"]

    def request_schema(self, operation_id: str) -> dict[str, Any]:
        return self.operation(operation_id)["requestBody"]["content"]["application/json"]["schema"]

    def resolve(self, node: Any) -> Any:
        while isinstance(node, dict) and "$ref" in node:
            target: Any = self.document
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            node = target
        return node

    def issues(self, operation_id: str, status: int) -> set[str]:
        """Every `issue` that the spec lists for an answer (PayPal)."""
        found: set[str] = set()
        self._collect(self.answer_schema(operation_id, status), found)
        return found

    def _collect(self, node: Any, found: set[str]) -> None:
        node = self.resolve(node)
        if isinstance(node, list):
            for item in node:
                self._collect(item, found)
        elif isinstance(node, dict):
            issue = node.get("issue")
            if isinstance(issue, dict):
                found.update(issue.get("enum", []))
            for item in node.values():
                self._collect(item, found)


def _as_json_schema(node: Any) -> Any:
    """Turn OpenAPI 3.0's dialect into JSON Schema draft 4, leniently where the specs are at fault.

    - `nullable` becomes a choice with null.
    - `additionalProperties: false` goes: ShipEngine's spec has it beside `allOf`, where no value at all could fit.
    - The wording of an error (`description` with an `enum`) goes: PayPal says that it may change, and that only `issue` counts.
    """
    if isinstance(node, list):
        return [_as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"]}
    converted = {name: _as_json_schema(value) for name, value in node.items() if name not in ("nullable", "example", "examples")}
    if converted.get("additionalProperties") is False:
        del converted["additionalProperties"]
    description = converted.get("description")
    if isinstance(description, dict) and "enum" in description:
        converted["description"] = {"type": "string"}
    if node.get("nullable") is True:
        return {"anyOf": [{"type": "null"}, converted]}
    return converted


@pytest.fixture(scope="session")
def spec_of() -> Callable[[dict[str, Any]], Spec]:
    return Spec
