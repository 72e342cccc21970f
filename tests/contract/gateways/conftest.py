"""A stub of an outside party that answers what a test told it and keeps what it was asked; and the providers' real specs."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema
import pytest
import yaml

from shared.http_client import HttpClient

SPECS = Path(__file__).parents[4] / "shared" / "data" / "provider-specs"


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body.decode("ascii"), keep_blank_values=True)


@dataclass
class Stub:
    """`answers` holds what comes next for "METHOD path"; the last one stays. One is (status, body[, headers]) or "lost"."""

    url: str = ""
    answers: dict[str, list[Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def on(self, what: str, *answers: Any) -> None:
        self.answers[what] = list(answers)

    def asks(self, what: str) -> list[Asked]:
        return [one for one in self.asked if f"{one.method} {one.path}" == what]


@pytest.fixture
def stub() -> Iterator[Stub]:
    stub = Stub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:
                self.close_connection = True

        def answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            stub.asked.append(Asked(self.command, parts.path, dict(parse_qsl(parts.query)), dict(self.headers.items()), body))
            answers = stub.answers.get(f"{self.command} {parts.path}", [(404, {})])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if answer == "lost":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, content, *rest = answer
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in (rest[0] if rest else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = answer  # noqa: N815 - the names that http.server asks for

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield stub
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def http(stub: Stub) -> Iterator[Callable[..., HttpClient]]:
    """Makes clients of the stub that do not pause between tries."""
    made: list[HttpClient] = []

    def make(path: str = "", **options: Any) -> HttpClient:
        made.append(HttpClient(stub.url + path, **{"timeout_seconds": (60, 60), "longest_pause_seconds": 0.0, **options}))
        return made[-1]

    yield make
    for client in made:
        client.close()


def _flat(schema: Any, document: dict[str, Any], seen: tuple[str, ...] = ()) -> Any:
    """The schema with its references followed and `allOf` merged, closed against members that it does not name.

    `allOf` beside `additionalProperties: false` contradicts itself if it is read as JSON Schema; merged, it says what is meant.
    """
    if isinstance(schema, list):
        return [_flat(one, document, seen) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if (reference := schema.get("$ref")) is not None:
        if reference in seen:
            return {}
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/")]
        return _flat(target, document, (*seen, reference))
    merged: dict[str, Any] = {}
    for part in [*schema.get("allOf", []), {name: value for name, value in schema.items() if name != "allOf"}]:
        flat = _flat_members(part, document, seen) if "$ref" not in part and "allOf" not in part else _flat(part, document, seen)
        properties = {**merged.get("properties", {}), **flat.get("properties", {})}
        required = sorted({*merged.get("required", []), *flat.get("required", [])})
        merged |= flat
        merged |= ({"properties": properties} if properties else {}) | ({"required": required} if required else {})
    if "properties" in merged:
        merged["additionalProperties"] = False
    return merged


def _flat_members(schema: dict[str, Any], document: dict[str, Any], seen: tuple[str, ...]) -> dict[str, Any]:
    kept = ("type", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "minItems", "maxItems")
    flat = {name: schema[name] for name in (*kept, "required") if name in schema}
    if "properties" in schema:
        flat["properties"] = {name: _flat(value, document, seen) for name, value in schema["properties"].items()}
    for name in ("items", "oneOf", "anyOf"):
        if name in schema:
            flat[name] = _flat(schema[name], document, seen)
    return flat


@pytest.fixture(scope="session")
def keeps_to() -> Callable[[str, str, Any], None]:
    """Checks a value against a named schema of a provider's own document."""
    documents: dict[str, dict[str, Any]] = {}
    schemas: dict[tuple[str, str], Any] = {}

    def check(document: str, name: str, value: Any) -> None:
        path = SPECS / document
        if not path.is_file():
            pytest.skip("the providers' specs (../shared/data) are not here")
        if document not in documents:
            # The document of the carrier has a slip of the pen in eleven places.
            text = path.read_text().replace("'boolean,'", "boolean").replace("'string,'", "string")
            documents[document] = yaml.load(text, Loader=yaml.CSafeLoader) if path.suffix == ".yaml" else json.loads(text)
        if (document, name) not in schemas:
            schemas[document, name] = _flat(documents[document]["components"]["schemas"][name], documents[document])
        jsonschema.Draft4Validator(schemas[document, name]).validate(value)

    return check
