"""What got out with a place: the fields that can stand there by the policy, in what form, and which keys guard them (clauses 51, 52, 54).

A place is one of the policy's canary places, or `service:NAME`, `database:NAME`, `queue:NAME`, `backup:data`, `backup:keyring`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from shared.contracts.errors import BrownPaperError
from shared.policy.compile_broker import Wiring, parts_in
from shared.policy.compile_databases import database_names, tables_of
from shared.policy.compile_outgoing import fields_in_path
from shared.policy.document import Policy

Form = Literal["clear", "pseudonymous", "sealed", "digest"]
INCIDENT_CLAUSES = (51, 52, 54)
_CLUSTERS = {"data": "data", "keyring": "keyring"}


class PlaceUnknown(BrownPaperError):
    """No place of the policy or of the stack is called so."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """Fields of a part in one form. `guarded_by` are the services whose keys open it, where it is sealed or a keyed digest."""

    part: str
    fields: tuple[str, ...]
    form: Form
    guarded_by: tuple[str, ...] = ()

    def is_readable(self, keys_out: Collection[str]) -> bool:
        """Whether whoever has it can read it, where the keys of these services got out too."""
        return not self.guarded_by or bool(set(self.guarded_by) & set(keys_out))


@dataclass(frozen=True, slots=True)
class Exposure:
    """All that can stand in a place; `keyrings` are the services whose wrapped keys stand there, `masters` those whose master key does."""

    place: str
    exposed: tuple[Exposed, ...]
    clauses: tuple[int, ...]
    keyrings: tuple[str, ...] = ()
    masters: tuple[str, ...] = ()


def places(policy: Policy, wiring: Wiring) -> list[str]:
    """Every place that can be named."""
    return [
        *policy.canaries.places,
        *(f"service:{name}" for name in policy.services),
        *(f"database:{name}" for name in policy.databases.databases),
        *(f"queue:{name}" for name in wiring.queues),
        *(f"backup:{name}" for name in _CLUSTERS),
    ]


def exposure(policy: Policy, wiring: Wiring, place: str) -> Exposure:
    """What can have got out with this place. Raises PlaceUnknown."""
    if place not in places(policy, wiring):
        raise PlaceUnknown("place_unknown")
    kind, _, name = place.partition(":")
    match kind:
        case "service":
            found = list(_in_service(policy, name))
            has_keyring = any(it.service == name for it in policy.databases.databases.values() if it.cluster == "keyring")
            keys = (name,) if has_keyring else ()
            return _whole(policy, place, found, ("database-doors", "audits"), keys, keys)
        case "database":
            return _of_databases(policy, place, [name])
        case "backup":
            return _of_databases(policy, place, database_names(policy, name))  # type: ignore[arg-type]
        case "queue":
            return _whole(policy, place, list(_in_queue(policy, wiring, name)), ("broker-permissions", "broker-words"))
    family, _, rest = kind.partition("_")
    if family in _CLUSTERS:
        return _of_databases(policy, place, database_names(policy, family))  # type: ignore[arg-type]
    if family == "sent":
        return _whole(policy, place, list(_sent_to(policy, rest)), (rest,))
    if kind in ("broker_files", "queues"):
        found = [it for queue in wiring.queues for it in _in_queue(policy, wiring, queue)]
        return _whole(policy, place, found, ("broker-permissions", "broker-words"))
    watched = "nobody-in-metrics" if kind == "metrics" else "nobody-in-logs"
    numbers = [Exposed("references", ("order_number",), "pseudonymous")] if kind in policy.canaries.pseudonymous_places else []
    return _whole(policy, place, numbers, (watched,))


def found_in_the_clear(policy: Policy, fields: Iterable[str]) -> tuple[Exposed, ...]:
    """What was found where it must not be, as `part.field`. Raises PlaceUnknown for what is no field of the policy."""
    by_part: dict[str, set[str]] = {}
    for told in fields:
        part, _, field = told.partition(".")
        if part not in policy.parts or field not in policy.parts[part].fields:
            raise PlaceUnknown("field_unknown")
        by_part.setdefault(part, set()).add(field)
    return tuple(Exposed(part, _ordered(policy, part, by_part[part]), "clear") for part in policy.parts if part in by_part)


def clauses_of_part(policy: Policy, part: str) -> set[int]:
    """The clauses under which anybody may have the part."""
    return {number for hold in policy.holds.values() if hold.part == part for number in hold.clauses}


def _of_databases(policy: Policy, place: str, names: Iterable[str]) -> Exposure:
    chosen = [(name, policy.databases.databases[name]) for name in names]
    found = [it for name, database in chosen for it in _in_database(policy, name, database.service, database.cluster)]
    keyrings = tuple(database.service for _, database in chosen if database.cluster == "keyring")
    return _whole(policy, place, found, ("database-doors", "database-columns"), keyrings)


def _in_database(policy: Policy, name: str, service: str, cluster: str) -> Iterator[Exposed]:
    for columns in tables_of(policy, name).values():
        for part in columns.sealed.values():
            yield Exposed(part, _held(policy, service, part), "sealed", (service,))
        if columns.with_boxes:
            yield from _boxes(policy, service, (part for part, its in policy.parts.items() if its.sealed))
        for part in columns.pseudonymous.values():
            # In a keyring persons and orders stand as digests under a key that is wrapped itself.
            form: Form = "digest" if cluster == "keyring" else "pseudonymous"
            yield Exposed(part, _held(policy, service, part), form, (service,) if form == "digest" else ())


def _in_service(policy: Policy, service: str) -> Iterator[Exposed]:
    """What a service opens stands open in its memory."""
    for hold in policy.holds.values():
        if hold.service != service or hold.form == "keyed_hash":
            continue
        if not policy.parts[hold.part].sealed:
            yield Exposed(hold.part, hold.fields, "pseudonymous")
        elif hold.opens:
            yield Exposed(hold.part, hold.fields, "clear")
        else:
            yield from _boxes(policy, service, [hold.part])


def _in_queue(policy: Policy, wiring: Wiring, queue: str) -> Iterator[Exposed]:
    readers = [policy.broker.users[user] for user, queues in wiring.reads.items() if queue in queues]
    for reader in readers:
        if reader.service is None:  # the storefront's answers
            yield Exposed("references", ("order_number", "tracking_number"), "pseudonymous")
            continue
        yield from _boxes(policy, reader.service, sorted(parts_in(policy, wiring, queue)))
        for part, its in policy.parts.items():
            if not its.sealed and reader.service in policy.holders_of(part):
                yield Exposed(part, _held(policy, reader.service, part), "pseudonymous")


def _boxes(policy: Policy, service: str, parts: Iterable[str]) -> Iterator[Exposed]:
    """Parts as boxes, which those open who may open the part."""
    for part in parts:
        if service in policy.holders_of(part):
            yield Exposed(part, _held(policy, service, part), "sealed", tuple(sorted(policy.openers_of(part))))


def _sent_to(policy: Policy, party: str) -> Iterator[Exposed]:
    if not any(call.to == party for call in policy.disclosures.values()):
        yield Exposed("references", ("order_number", "tracking_number"), "pseudonymous")
    for call in policy.disclosures.values():
        if call.to == party:
            for told in (*(field for fields in call.personal.values() for field in fields), *fields_in_path(call)):
                part, _, field = told.partition(".")
                yield Exposed(part, (field,), "clear" if policy.parts[part].sealed else "pseudonymous")


def _held(policy: Policy, service: str, part: str) -> tuple[str, ...]:
    """The fields of the part that the service may have; all of them where it may have the part under another name."""
    named = {field for hold in policy.holds.values() if (hold.service, hold.part) == (service, part) for field in hold.fields}
    return _ordered(policy, part, named or set(policy.parts[part].fields))


def _ordered(policy: Policy, part: str, fields: Collection[str]) -> tuple[str, ...]:
    return tuple(field for field in policy.parts[part].fields if field in fields)


def _whole(
    policy: Policy,
    place: str,
    found: Iterable[Exposed],
    guards: Iterable[str],
    keyrings: tuple[str, ...] = (),
    masters: tuple[str, ...] = (),
) -> Exposure:
    """One entry for each part, form and set of keys, in the policy's order; and every clause that is touched."""
    fields: dict[tuple[str, Form, tuple[str, ...]], set[str]] = {}
    for it in found:
        fields.setdefault((it.part, it.form, it.guarded_by), set()).update(it.fields)
    forms: tuple[Form, ...] = ("clear", "pseudonymous", "sealed", "digest")
    parts = list(policy.parts)
    ranked = sorted(fields, key=lambda key: (parts.index(key[0]), forms.index(key[1]), key[2]))
    exposed = tuple(Exposed(part, _ordered(policy, part, fields[part, form, keys]), form, keys) for part, form, keys in ranked)
    rules = {**policy.parties, **policy.guards, **policy.promises}
    clauses = {*INCIDENT_CLAUSES, *(number for name in guards for number in rules[name].clauses)}
    clauses |= {number for it in exposed for number in clauses_of_part(policy, it.part)}
    return Exposure(place, exposed, tuple(sorted(clauses)), keyrings, masters)
