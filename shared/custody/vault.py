"""The vault of one service: personal parts into envelopes, and out of them for a purpose, many at a time.

A part that comes in gets a key of its own, wrapped under the master key, before its envelope is written anywhere. An opening names its
purpose; it is decided by the policy under which the part was collected and by the person's state, and written down before the plaintext is
given.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from shared.contracts.errors import Parked
from shared.custody import keys, record
from shared.custody.envelopes import Envelope, EnvelopeBroken, PartName, close, open_
from shared.custody.fields import without
from shared.custody.keys import Head, KeyName, WrappedKey
from shared.custody.master import KEY_BYTES, Master, MasterKeyGone, Wrapped
from shared.custody.masters import hold_master
from shared.custody.permits import Choice, PolicyPermits
from shared.database import Database, type_of_connection
from shared.policy.uses import Use

_PERSONS_KEY = "persons"
RECORD_KEY = "record"
_PART: Final = "part"
"""The form of an envelope that holds the part itself, and no paper that was made of it."""


@dataclass(frozen=True, slots=True)
class PartToKeep:
    """A part as it came, checked, on its way into an envelope."""

    name: PartName
    policy_version: str
    plaintext: bytes = field(repr=False)
    form: str = _PART


@dataclass(frozen=True, slots=True)
class Opening:
    """A wish to open an envelope."""

    name: PartName
    envelope: Envelope


class Opened:
    """What was in an envelope, for as long as it is used. No copy of it is written anywhere, and it does not show itself."""

    __slots__ = ("_key", "_service", "_version", "name", "person_state", "plaintext")

    def __init__(
        self, plaintext: bytes, key: bytes, service: str, name: PartName, policy_version: str, person_state: str = "active"
    ) -> None:
        self.plaintext, self._key, self._service, self.name, self._version = plaintext, key, service, name, policy_version
        self.person_state = person_state

    def enclose(self, paper: bytes, form: str) -> Envelope:
        """A paper that was made of the part, in an envelope under the part's own key: it goes when the part goes."""
        return close(self._key, paper, self._service, self.name, self._version, form)


class PartClosed(Parked):
    """The part is not opened: its code says why (`purpose_not_allowed`, `new_use_not_allowed`, `person_erased`, `key_destroyed` …)."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What all the openings of one time have in common."""

    purpose: str
    to: str
    needs: Collection[str]
    at: datetime


class Vault:
    """See the module. Safe to use from many greenthreads and several processes."""

    def __init__(self, service: str, database: Database, master: Master, permits: PolicyPermits) -> None:
        self.service, self._database, self._master, self._permits = service, database, master, permits
        self._secrets: dict[str, bytes] = {}
        self._noted_masters: set[str] = set()
        self._head: Head | None = None  # of the record, as this process last left it

    def take_in(self, parts: Sequence[PartToKeep], at: datetime) -> list[Envelope | None]:
        """Each part in its envelope; None for one whose person is erased: it must not be kept. Safe to repeat: a part keeps its key.

        Raises TryLater where the keyring or the master's service does not answer.
        """
        if not parts:
            return []
        self.secret(_PERSONS_KEY)
        names = [self.key_name(part.name) for part in parts]
        fresh = [os.urandom(KEY_BYTES) for _ in parts]
        wrapped = self._master.wrap_many([(key, self._wrapping(name)) for key, name in zip(fresh, names, strict=True)])
        rows = [(name, part.policy_version, it) for name, part, it in zip(names, parts, wrapped, strict=True)]
        with self._database.together() as connection:
            for master_id in {it.master_id for it in wrapped} - self._noted_masters:
                hold_master(connection, master_id, at)
            standing = keys.add_keys(connection, rows, at)
        self._noted_masters |= {it.master_id for it in wrapped}
        envelopes: list[Envelope | None] = []
        for part, name, key, ours in zip(parts, names, fresh, wrapped, strict=True):
            stands = standing[name]
            if stands.wrapped is None or stands.person_state == "erased":
                envelopes.append(None)
                continue
            used = key if stands.wrapped == ours else self._master.unwrap(stands.wrapped, self._wrapping(name))
            envelopes.append(close(used, part.plaintext, self.service, part.name, part.policy_version, part.form))
        return envelopes

    def open(
        self,
        openings: Sequence[Opening],
        *,
        purpose: str,
        at: datetime,
        actor: str = "",
        to: str = "",
        needs: Collection[str] = (),
    ) -> list[Opened | PartClosed | EnvelopeBroken]:
        """What is in each envelope, or why not. Every opening and every refusal is in the record before this returns.

        Of a part the fields are there that the policy lets the purpose have, and `to` see: the outside party or the role of the staff
        (`shared.policy.uses`) that it goes to. It stays closed where one of `needs` is not among them. `actor` is who of the staff
        wishes it, where it is not the service itself. Raises TryLater where the keyring or the master's service does not answer.
        """
        if not openings:
            return []
        self.secret(_PERSONS_KEY)
        seal = self.record_seal
        names, wish = [self.key_name(opening.name) for opening in openings], _Wish(purpose, to, needs, at)
        with self._database.together() as connection:
            standing = keys.find_keys(connection, list(dict.fromkeys(names)))
            choices = self._choices(connection, openings, names, wish)
            unwrapped = self._unwrap_all(connection, standing)
            results = [
                self._try(opening, name, standing[name], unwrapped.get(name), wish, choices.get(name.person, ()))
                for opening, name in zip(openings, names, strict=True)
            ]
            entries = [
                record.entry_of(
                    at,
                    actor=actor or self.service,
                    purpose=purpose,
                    part=name.part,
                    form=opening.envelope.form,
                    person=name.person,
                    item=name.item,
                    policy_version=opening.envelope.policy_version,
                    ending="opened" if isinstance(result, Opened) else result.code,
                )
                for opening, name, result in zip(openings, names, results, strict=True)
            ]
            keys.lock_record(connection)
            position, hash_, is_sealed = record.continued(keys.record_end(connection), seal, self._head)
            written = record.chained(entries, position, hash_)
            keys.add_entries(connection, written)
            head = seal.head(written[-1].position, written[-1].hash)
            if is_sealed:
                keys.set_head(connection, head)
        if is_sealed and (self._head is None or self._head.position < head.position):
            self._head = head
        return results

    @property
    def record_seal(self) -> record.Seal:
        """What this service's record of openings is sealed with. Raises TryLater where the keyring does not answer."""
        return record.Seal(self.service, self.secret(RECORD_KEY))

    def person(self, shop: str, customer_id: str) -> str:
        """The digest under which this service's keyring knows a person. Raises TryLater where the keyring does not answer."""
        return self._digest(shop, customer_id)

    def erased_among(self, persons: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of these (shop, customer_id) who are erased."""
        digests = {person: self._digest(*person) for person in persons}
        with self._database.begin() as connection:
            erased = keys.erased_among(connection, list(digests.values()))
        return {person for person, digest in digests.items() if digest in erased}

    def item(self, shop: str, order_number: str) -> str:
        """The digest under which this service's keyring knows an order."""
        return self._digest(shop, "order", order_number)

    def key_name(self, name: PartName) -> KeyName:
        """Where a part's key stands."""
        return KeyName(self.person(name.shop, name.customer_id), self.item(name.shop, name.order_number), name.part)

    def destroy(self, names: Sequence[PartName]) -> int:
        """Destroy the keys of these parts; how many there were. Nobody reads them again. Safe to repeat."""
        if not names:
            return 0
        wanted = [self.key_name(name) for name in names]
        with self._database.begin() as connection:
            return keys.destroy_part_keys(connection, wanted)

    def secret(self, name: str) -> bytes:
        """A key of this service's own, of 32 bytes, made when first asked for. Raises TryLater where the keyring does not answer."""
        if name not in self._secrets:
            self._secrets[name] = self._find_or_make(name)
        return self._secrets[name]

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _choices(
        self, connection: type_of_connection, openings: Sequence[Opening], names: Sequence[KeyName], wish: _Wish
    ) -> dict[str, list[Choice]]:
        """What the persons have chosen whose parts are wished for a new use; nobody is asked for where there is none."""
        asked = {
            name.person
            for opening, name in zip(openings, names, strict=True)
            if self._permits.is_new_use(Use(self.service, name.part, wish.purpose, wish.to), opening.envelope.policy_version)
        }
        return keys.choices_of(connection, sorted(asked)) if asked else {}

    def _try(
        self,
        opening: Opening,
        name: KeyName,
        stands: WrappedKey,
        key: bytes | EnvelopeBroken | None,
        wish: _Wish,
        choices: Collection[Choice],
    ) -> Opened | PartClosed | EnvelopeBroken:
        collected = opening.envelope.policy_version
        decision = self._permits.decide(
            Use(self.service, name.part, wish.purpose, wish.to),
            collected_under=collected,
            person_state=stands.person_state,
            at=wish.at,
            choices=choices,
        )
        if decision.refusal is not None:
            return PartClosed(decision.refusal)
        if key is None:
            return PartClosed("key_destroyed")
        if isinstance(key, EnvelopeBroken):
            return key
        withheld = decision.withheld if opening.envelope.form == _PART else ()
        if not set(wish.needs).isdisjoint(withheld):
            return PartClosed("new_use_not_allowed")
        try:
            plaintext = open_(key, opening.envelope, self.service, opening.name)
        except EnvelopeBroken as broken:
            return broken
        given = without(plaintext, withheld) if withheld else plaintext
        return Opened(given, key, self.service, opening.name, collected, stands.person_state)

    def _unwrap_all(
        self, connection: type_of_connection, standing: dict[KeyName, WrappedKey]
    ) -> dict[KeyName, bytes | EnvelopeBroken]:
        """The keys that there are, or that one was changed. What was wrapped anew while we looked is looked up once more."""
        held = {name: it.wrapped for name, it in standing.items() if it.wrapped is not None}
        found, gone = self._unwrap_some(held)
        if gone:
            again = {name: it.wrapped for name, it in keys.find_keys(connection, gone).items() if it.wrapped is not None}
            found |= self._unwrap_some({name: it for name, it in again.items() if it != held[name]})[0]
        return found

    def _unwrap_some(self, held: dict[KeyName, Wrapped]) -> tuple[dict[KeyName, bytes | EnvelopeBroken], list[KeyName]]:
        results = self._master.unwrap_many([(it, self._wrapping(name)) for name, it in held.items()])
        found: dict[KeyName, bytes | EnvelopeBroken] = {}
        gone = []
        for name, result in zip(held, results, strict=True):
            if isinstance(result, MasterKeyGone):
                gone.append(name)
            else:
                found[name] = result if isinstance(result, bytes) else EnvelopeBroken()
        return found, gone

    def _wrapping(self, name: KeyName) -> bytes:
        return part_key_context(self.service, name)

    def _digest(self, *words: str) -> str:
        return digest_of(self.secret(_PERSONS_KEY), *words)

    def _find_or_make(self, name: str) -> bytes:
        context, at = service_key_context(self.service, name), datetime.now(UTC)
        with self._database.begin() as connection:
            stands = keys.service_key(connection, name)
        if stands is None:
            fresh = self._master.wrap(os.urandom(KEY_BYTES), context)
            with self._database.begin() as connection:
                keys.add_service_key(connection, name, fresh, at)
                stands = keys.service_key(connection, name)
        assert stands is not None  # noqa: S101 - it was just written, by us or by another
        return self._master.unwrap(stands, context)


def digest_of(key: bytes, *words: str) -> str:
    """The 32 digits under which a person (shop, customer_id) or an order is known to whoever has the key, and to nobody else."""
    return hmac.digest(key, "\0".join(words).encode(), "sha256").hex()[:32]


def part_key_context(service: str, name: KeyName) -> bytes:
    """What the wrapping of a part's key is bound to."""
    return "\0".join(("part key", service, *name)).encode()


def service_key_context(service: str, name: str) -> bytes:
    """What the wrapping of a key of the service's own is bound to."""
    return f"service key\0{service}\0{name}".encode()


__all__ = ["Opened", "Opening", "PartClosed", "PartToKeep", "Vault"]
