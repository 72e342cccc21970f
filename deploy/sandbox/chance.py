"""Chance that repeats itself: what goes wrong is chosen by hashes of a seed and of what is done, not by a generator's state.

Two runs with one seed and the same requests see the same lost answers, declines and repeats, in whatever order they arrive.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

_FULL = float(2**64)
_MOST_LOST_IN_A_ROW = 2
_ID_LETTERS = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"


@dataclass(slots=True)
class Switches:
    """How much goes wrong; each is a share between 0 and 1."""

    seed: int = 1
    lose_answers: float = 0.02
    repeat_webhooks: float = 0.05
    decline: float = 0.02


class Chance:
    """Answers "does it happen this time?" for one sandbox. Safe to ask in any order; only `loses_answer` remembers anything."""

    def __init__(self, switches: Switches) -> None:
        self.switches = switches
        self._asked: dict[str, tuple[int, int]] = {}

    def happens(self, share: float, *what: object) -> bool:
        """Whether something with this probability happens to `what`; always the same answer for the same seed and `what`."""
        return share > 0 and self._number(*what) < share * _FULL

    def declines(self, reference: str) -> bool:
        """Whether the payment of this reference is declined."""
        return self.happens(self.switches.decline, "decline", reference)

    def repeats(self, reference: str) -> bool:
        """Whether this webhook is sent a second time although it was acknowledged."""
        return self.happens(self.switches.repeat_webhooks, "repeat", reference)

    def loses_answer(self, method: str, path: str, reference: str = "") -> bool:
        """Whether this request's answer is lost, given how often it was asked; never more than twice in a row."""
        if self.switches.lose_answers <= 0:
            return False
        key = f"{method} {path} {reference}"
        asked, lost_in_a_row = self._asked.get(key, (0, 0))
        lost = lost_in_a_row < _MOST_LOST_IN_A_ROW and self.happens(self.switches.lose_answers, "lose", key, asked)
        self._asked[key] = (asked + 1, lost_in_a_row + 1 if lost else 0)
        return lost

    def identifier(self, length: int, *what: object) -> str:
        """An identifier of capital letters and digits that is always the same for the same seed and `what`."""
        number = int.from_bytes(blake2b(self._text(what), digest_size=16).digest(), "big")
        letters = []
        for _ in range(length):
            number, index = divmod(number, len(_ID_LETTERS))
            letters.append(_ID_LETTERS[index])
        return "".join(letters)

    def forget(self) -> None:
        """Start counting again, as after a restart."""
        self._asked.clear()

    def _number(self, *what: object) -> int:
        return int.from_bytes(blake2b(self._text(what), digest_size=8).digest(), "big")

    def _text(self, what: tuple[object, ...]) -> bytes:
        return "\0".join(map(str, (self.switches.seed, *what))).encode("utf-8", "surrogatepass")
