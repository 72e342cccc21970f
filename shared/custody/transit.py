"""A key service in the file's place: Vault's transit engine, over its HTTP API. And the choice between the two.

Of one named transit key each version is a master key of ours, named `transit:v3`. The context is bound by what is encrypted: its digest
goes before the key, so that no parameter is needed that only newer servers know.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from shared.contracts.errors import Parked, TryLater
from shared.custody.master import KEY_BYTES, FileMaster, Master, MasterKeyGone, MasterKeyInvalid, Wrapped
from shared.http_client import Answer, HttpClient

_PREFIX = "transit:"
_VERSION = re.compile(r"transit:v[1-9][0-9]{0,8}")
_DIGEST_BYTES = 32
_REFUSED = 400


class TransitMaster:
    """Wraps by a transit key of the type `aes256-gcm96`. Safe to share between greenthreads.

    The token must be allowed: update on `encrypt/KEY` and `decrypt/KEY`, read on `keys/KEY`; for a rotation also update on `keys/KEY/rotate`,
    `keys/KEY/config` and `keys/KEY/trim`. The token's file is read anew for each request: an agent may renew it.
    """

    def __init__(self, http: HttpClient, *, key: str, token_file: Path, mount: str = "transit") -> None:
        self._http, self._key, self._token_file, self._mount = http, key, token_file, mount

    def current_id(self) -> str:
        return f"{_PREFIX}v{self._state()['latest_version']}"

    def wrap(self, key: bytes, context: bytes) -> Wrapped:
        return self.wrap_many([(key, context)])[0]

    def wrap_many(self, keys: Sequence[tuple[bytes, bytes]]) -> list[Wrapped]:
        if not keys:
            return []
        items = [{"plaintext": base64.b64encode(_digest(context) + key).decode()} for key, context in keys]
        answer = self._ask("POST", f"encrypt/{self._key}", {"batch_input": items}, harmless=True)
        results = answer.json_object()["data"]["batch_results"]
        return [_wrapped(str(result.get("ciphertext", ""))) for result in results]

    def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        result = self.unwrap_many([(wrapped, context)])[0]
        if isinstance(result, MasterKeyInvalid):
            raise result
        return result

    def unwrap_many(self, wrapped: Sequence[tuple[Wrapped, bytes]]) -> list[bytes | MasterKeyInvalid]:
        # What another provider wrapped is not asked for.
        ours = [it for it in wrapped if _VERSION.fullmatch(it[0].master_id)]
        opened = iter(self._decrypt(ours) if ours else [])
        return [next(opened) if _VERSION.fullmatch(one.master_id) else MasterKeyGone() for one, _ in wrapped]

    def _decrypt(self, wrapped: Sequence[tuple[Wrapped, bytes]]) -> list[bytes | MasterKeyInvalid]:
        items = [{"ciphertext": _ciphertext(one)} for one, _ in wrapped]
        answer = self._ask("POST", f"decrypt/{self._key}", {"batch_input": items}, harmless=True, expected=(200, _REFUSED))
        data = answer.json_object().get("data") or {}
        results = data.get("batch_results") or [{"error": "refused"}] * len(wrapped)
        failed = any("plaintext" not in result for result in results)
        standing = self._state()["keys"] if failed else {}
        return [_unwrapped(result, one, context, standing) for result, (one, context) in zip(results, wrapped, strict=True)]

    def begin_rotation(self) -> str:
        state = self._state()
        if int(state["min_decryption_version"]) >= int(state["latest_version"]):
            self._ask("POST", f"keys/{self._key}/rotate", {}, repeatable=False)
        return self.current_id()

    def destroy_others(self, current_id: str) -> None:
        state, version = self._state(), int(current_id.removeprefix(f"{_PREFIX}v"))
        if version != int(state["latest_version"]):
            raise MasterKeyInvalid
        if set(state["keys"]) != {str(version)}:
            least = {"min_decryption_version": version, "min_encryption_version": version}
            self._ask("POST", f"keys/{self._key}/config", least)
            self._ask("POST", f"keys/{self._key}/trim", {"min_available_version": version})

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._ask("GET", f"keys/{self._key}").json_object()["data"]
        return state

    def _ask(
        self,
        method: str,
        path: str,
        content: object = None,
        *,
        repeatable: bool = True,
        harmless: bool | None = None,
        expected: Sequence[int] = (200, 204),
    ) -> Answer:
        try:
            token = self._token_file.read_text().strip()
        except OSError:
            raise TryLater("key_service_token_missing") from None
        try:
            return self._http.call(
                method,
                f"/v1/{self._mount}/{path}",
                json=content,
                headers={"X-Vault-Token": token},
                expected=expected,
                repeatable=repeatable,
                harmless=harmless,
            )
        except Parked:
            # A token that ran out, a sealed server, a key that nobody made: for whoever waits it is simply not there.
            raise TryLater("key_service_refuses") from None


def _digest(context: bytes) -> bytes:
    return hashlib.sha256(context).digest()


def _wrapped(ciphertext: str) -> Wrapped:
    try:
        _, version, box = ciphertext.split(":", 2)  # vault:v3:…
        return Wrapped(_PREFIX + version, base64.b64decode(box, validate=True))
    except ValueError:
        raise TryLater("key_service_refuses") from None


def _ciphertext(wrapped: Wrapped) -> str:
    version = wrapped.master_id.removeprefix(_PREFIX)
    return f"vault:{version}:{base64.b64encode(wrapped.box).decode()}"


def _unwrapped(result: dict[str, Any], wrapped: Wrapped, context: bytes, standing: dict[str, Any]) -> bytes | MasterKeyInvalid:
    if "plaintext" not in result:
        return MasterKeyInvalid() if wrapped.master_id.removeprefix(f"{_PREFIX}v") in standing else MasterKeyGone()
    plain = base64.b64decode(result["plaintext"])
    key = plain[_DIGEST_BYTES:]
    bound = hmac.compare_digest(plain[:_DIGEST_BYTES], _digest(context))
    return key if bound and len(key) == KEY_BYTES else MasterKeyInvalid()


class MasterSettings(Protocol):
    """What says where the master keys are (`shared.settings.KeyringSettings`)."""

    @property
    def keyring_master(self) -> str: ...
    @property
    def keyring_master_key_file(self) -> str | None: ...
    @property
    def keyring_vault_url(self) -> str | None: ...
    @property
    def keyring_vault_key(self) -> str | None: ...
    @property
    def keyring_vault_mount(self) -> str: ...
    @property
    def keyring_vault_token_file(self) -> str | None: ...
    @property
    def keyring_vault_ca_file(self) -> str | None: ...


def open_master(settings: MasterSettings) -> Master:
    """The master keys that these settings choose. Raises MasterKeyInvalid where the file cannot be used."""
    if settings.keyring_master == "file":
        return FileMaster.read(Path(str(settings.keyring_master_key_file)))
    http = HttpClient(str(settings.keyring_vault_url), timeout_seconds=(3.0, 6.0), ca_file=settings.keyring_vault_ca_file)
    return TransitMaster(
        http,
        key=str(settings.keyring_vault_key),
        token_file=Path(str(settings.keyring_vault_token_file)),
        mount=settings.keyring_vault_mount,
    )
