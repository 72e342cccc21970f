"""Markers: what each personal field of a made-up person carries, so that it is known wherever it turns up.

All markers of a run begin with one of three roots that stand nowhere else in the world: one of letters and digits, one of digits alone for
what takes no letters, and one for pseudonyms, so that of a marker that was written over in part it can still be told which of the two it
was. Behind the root comes which field of which person it is. So a search for three short words finds every marker, in whatever case it is
written.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

PERSONAL, PSEUDONYM, PLANTED = "personal", "pseudonym", "planted"
_LETTERS = "abcdefghjkmnpqrstvwxyz"
_SIGNS = "0123456789" + _LETTERS
_CODE_SIGNS, _CODE_DIGITS = 4, 4
_LAST_SIGN, _LAST_DIGIT = "z", "7"  # base64 may hide the last bits of what it encodes: they are the same in all markers


@dataclass(frozen=True, slots=True)
class Marker:
    """`text` as it is sent, which is the root and what follows; it stands for `field` (`part.field`) of `person`.

    `kind` is PERSONAL, PSEUDONYM or PLANTED.
    """

    person: str
    field: str
    text: str
    root: str
    kind: str


class Mint:
    """Makes the markers of one run, each once. Another run's are others: what an earlier one left is not taken for this one's."""

    def __init__(self, kind: str = PERSONAL) -> None:
        self._kind = kind
        self.word_root, self.pseudonym_root = _word_root(), _word_root()
        self.digits_root = secrets.choice("123456789") + "".join(secrets.choice("0123456789") for _ in range(9))
        self.made: list[Marker] = []

    def word(self, person: str, field: str) -> str:
        """A marker of letters and digits, its first letter a capital."""
        code = "".join(self._number_signs())
        return self._add(person, field, self.word_root.capitalize() + code, self.word_root)

    def pseudonym(self, person: str, field: str) -> str:
        """The same for what stands for a person without showing one."""
        code = "".join(self._number_signs())
        return self._add(person, field, self.pseudonym_root.capitalize() + code, self.pseudonym_root, PSEUDONYM)

    def subtag(self, person: str, field: str) -> str:
        """The same with a hyphen between root and code, as a language's private subtags ask for."""
        code = "".join(self._number_signs())
        return self._add(person, field, f"{self.word_root}-{code}", self.word_root)

    def digits(self, person: str, field: str) -> str:
        """A marker of digits alone."""
        return self._add(person, field, f"{self.digits_root}{len(self.made):0{_CODE_DIGITS}d}{_LAST_DIGIT}", self.digits_root)

    def of(self, person: str) -> list[Marker]:
        return [marker for marker in self.made if marker.person == person]

    def _number_signs(self) -> Iterator[str]:
        number = len(self.made)
        for place in reversed(range(_CODE_SIGNS)):
            yield _SIGNS[number // len(_SIGNS) ** place % len(_SIGNS)]
        yield _LAST_SIGN

    def _add(self, person: str, field: str, text: str, root: str, kind: str = "") -> str:
        self.made.append(Marker(person, field, text, root, kind or self._kind))
        return text


def _word_root() -> str:
    return secrets.choice(_LETTERS) + "".join(secrets.choice(_SIGNS) for _ in range(6)) + secrets.choice(_LETTERS)
