"""What the policy's table of canaries expects of each place, and what was found there instead. The table is the policy's alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.policy import Policy
from shared.policy.compilation import canaries
from tests.proof.markers import PERSONAL, PSEUDONYM
from tests.proof.people import Person
from tests.proof.scanner import Sighting

NOBODY = "nobody known"
# Which rule of the policy a leak breaks. Of what is sent it is the party's own rule and those of the calls to it.
_RULE_OF_PLACE = {
    **dict.fromkeys(("data_files", "data_wal", "data_dump", "data_statistics"), ("guards", "database-columns")),
    **dict.fromkeys(("keyring_files", "keyring_wal", "keyring_dump"), ("guards", "database-columns")),
    **dict.fromkeys(("broker_files", "queues"), ("promises", "sealed-on-the-way")),
    **dict.fromkeys(("logs", "terminal", "traces"), ("promises", "nobody-in-logs")),
    "metrics": ("promises", "nobody-in-metrics"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A marker where it must not be, or none where it must be; never its value."""

    kind: str
    place: str
    piece: str
    field: str
    encoding: str
    person: str
    clauses: tuple[int, ...]

    def __str__(self) -> str:
        where = f"{self.place} ({self.piece})" if self.piece else self.place
        how = f", written as {self.encoding}" if self.encoding else ""
        verb = "is in" if self.kind == "leak" else "did not come to"
        return f"{self.field} of {self.person} {verb} {where}{how}: clause {', '.join(map(str, self.clauses))}"


@dataclass
class Row:
    """One place: how much of it was read, which fields of which people must be there, and which were."""

    place: str
    pieces: int = 0
    bytes: int = 0
    expected: int = 0
    found: int = 0
    pseudonyms: int = 0
    faults: list[Fault] = field(default_factory=list)


@dataclass
class Seen:
    """All sightings: place → (person, field) → (piece, encoding)s, and how much was read."""

    places: Sequence[str]
    where: dict[str, dict[tuple[str, str], set[tuple[str, str]]]] = field(default_factory=dict)
    pieces: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    def note(self, place: str, piece: str, read: int, sightings: Iterable[Sighting]) -> None:
        self.pieces[place] = self.pieces.get(place, 0) + 1
        self.bytes[place] = self.bytes.get(place, 0) + read
        for it in sightings:
            of = (it.marker.person, it.marker.field) if it.marker else (NOBODY, it.kind)
            self.where.setdefault(place, {}).setdefault(of, set()).add((piece, it.encoding))


def judge(policy: Policy, people: Mapping[str, Person], seen: Seen) -> list[Row]:
    """A row for each place of the policy."""
    table = canaries(policy)
    rows = []
    for place in policy.canaries.places:
        row = Row(place, seen.pieces.get(place, 0), seen.bytes.get(place, 0))
        there = seen.where.get(place, {})
        for person in people.values():
            for name in dict.fromkeys(marker.field for marker in person.mint.of(person.name)):
                _judge_one(policy, table, row, person, name, there.get((person.name, name), set()))
        # What was written over in part: whose it was nobody can say, but of which kind.
        for kind in {PERSONAL} if place in policy.canaries.pseudonymous_places else {PERSONAL, PSEUDONYM}:
            row.faults += [
                _leak(policy, place, f"a {kind} marker, cut off,", NOBODY, *it) for it in sorted(there.get((NOBODY, kind), set()))
            ]
        rows.append(row)
    return rows


def _judge_one(
    policy: Policy,
    table: Mapping[str, Mapping[str, str]],
    row: Row,
    person: Person,
    name: str,
    where: set[tuple[str, str]],
) -> None:
    place = row.place
    rule = table[name][place]
    if rule == "may":
        row.pseudonyms += bool(where)
    elif rule == "must" and place.removeprefix("sent_") in person.reaches and name.partition(".")[0] in person.uses:
        row.expected += 1
        row.found += bool(where)
        if not where:
            row.faults.append(Fault("missing", place, "", name, "", person.name, clauses_of(policy, place, name)))
    elif where and place not in person.spared:
        row.faults += [_leak(policy, place, name, person.name, *it) for it in sorted(where)]


def _leak(policy: Policy, place: str, name: str, person: str, piece: str, encoding: str) -> Fault:
    return Fault("leak", place, piece, name, encoding, person, clauses_of(policy, place, name))


def clauses_of(policy: Policy, place: str, name: str) -> tuple[int, ...]:
    """The clauses that a leak of this field at this place breaks."""
    rules = dict(policy.rules())
    chosen = [rules[_RULE_OF_PLACE[place]]] if place in _RULE_OF_PLACE else []
    if place.startswith("sent_"):
        party = place.removeprefix("sent_")
        chosen += [rules["parties", party], *(call for call in policy.disclosures.values() if call.to == party)]
    part, _, kind = name.partition(".")
    if part == "never" and kind in policy.never:
        chosen.append(rules["never", kind])
    return tuple(sorted({number for rule in chosen for number in rule.clauses}))


def places_without_rule(policy: Policy) -> list[str]:
    """Places of the policy of which nobody has said what a leak there breaks."""
    return [it for it in policy.canaries.places if it not in _RULE_OF_PLACE and it.removeprefix("sent_") not in policy.parties]
