"""A small server that answers as the documentation of Vault's transit engine says: keys with versions, encrypt and decrypt in batches.

No Vault can be had here. What it does differently from this stand-in, nobody has seen yet.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Transit:
    """One named key of the type aes256-gcm96. `whole_refusals` answers a batch with a bad item by errors alone, as older servers do."""

    def __init__(self, token: str, name: str) -> None:
        self.token, self.name = token, name
        self.versions = {1: os.urandom(32)}
        self.min_decryption, self.min_encryption = 1, 0
        self.whole_refusals = False
        self.is_sealed = False
        self.seen: list[str] = []

    @property
    def latest(self) -> int:
        return max(self.versions)

    def answer(self, method: str, path: str, token: str | None, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        self.seen.append(f"{method} {path}")
        if self.is_sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != self.token:
            return 403, {"errors": ["permission denied"]}
        verb, _, rest = path.removeprefix("/v1/transit/").partition("/")
        if rest.partition("/")[0] != self.name:
            return 404, {"errors": []}
        match (method, verb, rest.partition("/")[2]):
            case ("GET", "keys", ""):
                shown = {str(version): 1_700_000_000 for version in self.versions if version >= self.min_decryption}
                state = {"name": self.name, "type": "aes256-gcm96", "keys": shown, "latest_version": self.latest}
                least = {"min_decryption_version": self.min_decryption, "min_encryption_version": self.min_encryption}
                return 200, {"data": {**state, **least}}
            case ("POST", "keys", "rotate"):
                self.versions[self.latest + 1] = os.urandom(32)
                return 204, None
            case ("POST", "keys", "config"):
                self.min_decryption = int(body.get("min_decryption_version", self.min_decryption))
                self.min_encryption = int(body.get("min_encryption_version", self.min_encryption))
                return 204, None
            case ("POST", "keys", "trim"):
                return self._trim(int(body["min_available_version"]))
            case ("POST", "encrypt", ""):
                return 200, {"data": {"batch_results": [self._encrypted(item) for item in body["batch_input"]]}}
            case ("POST", "decrypt", ""):
                results = [self._decrypted(item) for item in body["batch_input"]]
                if all("plaintext" in result for result in results):
                    return 200, {"data": {"batch_results": results}}
                return 400, {"errors": ["refused"]} if self.whole_refusals else {"data": {"batch_results": results}}
        return 404, {"errors": []}

    def _trim(self, least: int) -> tuple[int, dict[str, Any] | None]:
        if not self.min_encryption or least > min(self.min_decryption, self.min_encryption):
            return 400, {"errors": ["not allowed"]}
        self.versions = {version: key for version, key in self.versions.items() if version >= least}
        return 204, None

    def _encrypted(self, item: dict[str, str]) -> dict[str, Any]:
        nonce = os.urandom(12)
        box = nonce + AESGCM(self.versions[self.latest]).encrypt(nonce, base64.b64decode(item["plaintext"], validate=True), None)
        return {"ciphertext": f"vault:v{self.latest}:{base64.b64encode(box).decode()}", "key_version": self.latest}

    def _decrypted(self, item: dict[str, str]) -> dict[str, str]:
        _, version, text = item["ciphertext"].split(":", 2)
        number = int(version.removeprefix("v"))
        if number < self.min_decryption:
            return {"error": "ciphertext or signature version is disallowed by policy (too old)"}
        if number not in self.versions:
            return {"error": "invalid ciphertext: version is too new"}
        box = base64.b64decode(text)
        try:
            return {"plaintext": base64.b64encode(AESGCM(self.versions[number]).decrypt(box[:12], box[12:], None)).decode()}
        except (InvalidTag, ValueError):
            return {"error": "cipher: message authentication failed"}


@contextmanager
def serving(transit: Transit) -> Iterator[str]:
    """The address of a server that answers for this key, gone at the end."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = transit.answer(method, self.path, self.headers.get("X-Vault-Token"), json.loads(content or b"{}"))
            text = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
