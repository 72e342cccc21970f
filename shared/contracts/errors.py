"""What can go wrong, as one tree, grouped by what to do about it.

    BrownPaperError
    ├── TryLater      not yet; tried again on a ladder of growing delays
    │   └── Unanswered    a party may have done it, or not: looked up before it is asked for again
    ├── Parked        not by itself; kept until a person replays or discards it
    └── Refused       the sender's fault; answered with every fault named

No message of these may hold a personal datum or a secret: codes, places and ids only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shared.contracts.values import OrderKey


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with what was sent: a stable `code` and the place as a JSON pointer, never the value."""

    code: str
    path: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"code": self.code, "path": self.path}


class BrownPaperError(Exception):
    """The root of all errors of this project; never raised itself."""


class TryLater(BrownPaperError):
    """It cannot be done yet, and waiting may help: an earlier fact is missing, a party does not answer.

    `code` is stable and free of personal data. `after_seconds` is the party's own wish (`Retry-After`), if it said one. `awaits` is the
    order that is missing, where what is tried is not about one order itself.
    """

    def __init__(self, code: str, *, after_seconds: float | None = None, awaits: OrderKey | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.after_seconds = after_seconds
        self.awaits = awaits


class Unanswered(TryLater):
    """Not known whether it happened: the request went out and its answer did not come back, or says "not finished yet".

    Whoever keeps the intent waits until the call has surely ended at the other side, and then looks before asking again.
    """


class Parked(BrownPaperError):
    """Trying again will not help: a person must look. `code` is stable and free of personal data."""

    def __init__(self, code: str, faults: Iterable[Fault] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.faults = tuple(faults)


class Refused(BrownPaperError):
    """The sender's fault. `faults` names each thing wrong; `code` sums it up (the first fault's where there is one)."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        self.code = self.faults[0].code if self.faults else "refused"
        super().__init__(", ".join(f"{fault.code} at {fault.path or '/'}" for fault in self.faults))
