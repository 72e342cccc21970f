"""Passwords of staff, kept as argon2id's hashes, and the tokens of their sessions."""

from __future__ import annotations

import hashlib
import secrets

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError

FEWEST, MOST = 12, 256
_HASHER = PasswordHasher(type=Type.ID)
_NOBODYS: list[str] = []


def password_fault(password: str) -> str | None:
    """What is wrong with a new password, in a sentence for who typed it; None where it will do."""
    if not FEWEST <= len(password) <= MOST:
        return f"A password has {FEWEST} to {MOST} characters."
    return None if len(set(password)) >= 5 else "A password is not made of so few characters."


def secret_hash_of(password: str) -> str:
    """What is kept of a password."""
    return _HASHER.hash(password)


def prepare() -> None:
    """Have ready what a name that nobody has is held against."""
    if not _NOBODYS:
        _NOBODYS.append(_HASHER.hash(secrets.token_urlsafe(32)))


def is_right(secret_hash: str | None, password: str) -> bool:
    """Whether the password is the one. Where there is no such member it takes as long, and is not. It takes 64 MiB and some 50 ms of a core."""
    prepare()
    try:
        _HASHER.verify(secret_hash or _NOBODYS[0], password if len(password) <= MOST else "")
    except (Argon2Error, InvalidHashError):
        return False
    return secret_hash is not None


def token_digest(token: str) -> str:
    """Under what a session's token is found; the token itself stands nowhere."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> str:
    """A session's token: 256 random bits."""
    return secrets.token_urlsafe(32)
