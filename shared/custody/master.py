"""Master keys: what part keys, intake keys and a service's own keys are wrapped under. They stand in no database.

`Master` is the small interface: a file for one machine (here), a key service behind the same verbs (`shared.custody.transit`).
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.contracts.errors import BrownPaperError

KEY_BYTES = 32
_NONCE_BYTES = 12


class MasterKeyInvalid(BrownPaperError):
    """The master key cannot be read, is not of its kind, or is not the one that the keys were wrapped under."""

    def __init__(self) -> None:
        super().__init__("master_key_invalid")


class MasterKeyGone(MasterKeyInvalid):
    """What was wrapped names a master key that is not here any more: it was destroyed, and what it wrapped with it."""


class Wrapped(NamedTuple):
    """A small key, wrapped: the name of the master key that did it, and what came out."""

    master_id: str
    box: bytes


class Master(Protocol):
    """Wraps small keys. `context` is bound: what was wrapped in one context cannot be unwrapped in another.

    Every verb raises TryLater where a key service does not answer.
    """

    def current_id(self) -> str:
        """The name of the key that `wrap` uses now."""

    def wrap(self, key: bytes, context: bytes) -> Wrapped:
        """The key, wrapped under the current master key."""

    def wrap_many(self, keys: Sequence[tuple[bytes, bytes]]) -> list[Wrapped]:
        """The same for many (key, context), in their order."""

    def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """The key that was wrapped. Raises MasterKeyGone, MasterKeyInvalid."""

    def unwrap_many(self, wrapped: Sequence[tuple[Wrapped, bytes]]) -> list[bytes | MasterKeyInvalid]:
        """The same for many (wrapped, context), in their order; what cannot be unwrapped gives its reason."""

    def begin_rotation(self) -> str:
        """Have a new current key, and give its name; the others still unwrap. Goes on with a rotation that was begun before."""

    def destroy_others(self, current_id: str) -> None:
        """Destroy every key but this one, which must be the current one. Safe to repeat."""


class _Keys:
    """The keys of a file as they were read; `stamp` tells whether the file has changed since."""

    def __init__(self, keys: Sequence[bytes], stamp: tuple[int, ...] = ()) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise MasterKeyInvalid
        self.all, self.stamp = tuple(keys), stamp
        self.ciphers = {id_of(key): AESGCM(key) for key in keys}
        self.current_id = id_of(keys[-1])


def id_of(key: bytes) -> str:
    """The name of a master key: tells nothing of it."""
    return hashlib.sha256(b"brownpaper master key\0" + key).hexdigest()[:12]


class FileMaster:
    """Master keys in a file: one in base64 on each line, the last one is current.

    The file is read again when it has changed: before a key is wrapped, and where a wrapped key names a master that is not known.
    """

    def __init__(self, keys: Sequence[bytes], file: Path | None = None) -> None:
        self._file = file
        self._keys = _Keys(keys)

    @classmethod
    def read(cls, file: Path) -> Self:
        """Raises MasterKeyInvalid."""
        master = cls(read_keys(file), file)
        master._keys.stamp = _stamp(file)
        return master

    @property
    def keys(self) -> tuple[bytes, ...]:
        return self._keys.all

    def current_id(self) -> str:
        self._look()
        return self._keys.current_id

    def wrap(self, key: bytes, context: bytes) -> Wrapped:
        self._look()
        held, nonce = self._keys, os.urandom(_NONCE_BYTES)
        return Wrapped(held.current_id, nonce + held.ciphers[held.current_id].encrypt(nonce, key, context))

    def wrap_many(self, keys: Sequence[tuple[bytes, bytes]]) -> list[Wrapped]:
        return [self.wrap(key, context) for key, context in keys]

    def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        if wrapped.master_id not in self._keys.ciphers:
            self._look()
        cipher = self._keys.ciphers.get(wrapped.master_id)
        if cipher is None:
            raise MasterKeyGone
        try:
            return cipher.decrypt(wrapped.box[:_NONCE_BYTES], wrapped.box[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise MasterKeyInvalid from None

    def unwrap_many(self, wrapped: Sequence[tuple[Wrapped, bytes]]) -> list[bytes | MasterKeyInvalid]:
        return [_or_reason(self, one, context) for one, context in wrapped]

    def begin_rotation(self) -> str:
        if len(self._keys.all) == 1:
            self._write([*self._keys.all, os.urandom(KEY_BYTES)])
        return self._keys.current_id

    def destroy_others(self, current_id: str) -> None:
        if current_id != self._keys.current_id:
            raise MasterKeyInvalid
        if len(self._keys.all) > 1:
            self._write([self._keys.all[-1]])

    # ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _look(self) -> None:
        if self._file is None:
            return
        try:
            stamp = _stamp(self._file)
            if stamp != self._keys.stamp:
                self._keys = _Keys(read_keys(self._file), stamp)
        except (OSError, MasterKeyInvalid):
            return  # a file that is away or half there takes nothing from who has read it before

    def _write(self, keys: Sequence[bytes]) -> None:
        """Put these keys into the file, all or nothing, and write over the bytes of the old one before they are let go."""
        if self._file is None:
            self._keys = _Keys(keys)
            return
        file, draft = self._file.resolve(), self._file.resolve().with_name(self._file.name + ".new")
        draft.unlink(missing_ok=True)
        text = b"".join(base64.b64encode(key) + b"\n" for key in keys)
        with file.open("r+b", buffering=0) as old:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0) as new:
                new.write(text)
                os.fsync(new.fileno())
                if os.geteuid() == 0:
                    os.fchown(new.fileno(), file.stat().st_uid, file.stat().st_gid)
            draft.replace(file)
            _sync_folder(file.parent)
            old.write(bytes(os.fstat(old.fileno()).st_size))
            os.fsync(old.fileno())
        self._keys = _Keys(keys, _stamp(file))


def read_keys(file: Path) -> list[bytes]:
    """The keys in a file. Raises MasterKeyInvalid."""
    try:
        keys = [base64.b64decode(line, validate=True) for line in file.read_bytes().split()]
        return list(_Keys(keys).all)
    except (OSError, ValueError):
        raise MasterKeyInvalid from None


def _stamp(file: Path) -> tuple[int, ...]:
    it = file.stat()
    return (it.st_ino, it.st_mtime_ns, it.st_size)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _or_reason(master: Master, wrapped: Wrapped, context: bytes) -> bytes | MasterKeyInvalid:
    try:
        return master.unwrap(wrapped, context)
    except MasterKeyInvalid as error:
        return error
