"""What is sealed, wherever it lies in bytes, and every key that there is at some moment: which opens which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from shared.cli.keyrings import Keyring
from shared.contracts.storefront import read_base64
from shared.custody.envelopes import Envelope, EnvelopeBroken, PartName, open_
from shared.custody.keys import KeyName
from shared.custody.master import FileMaster, Wrapped, read_keys
from shared.custody.permits import PolicyPermits
from shared.custody.vault import Vault, part_key_context, service_key_context
from shared.keyring import intake_key_context
from shared.policy import load
from tests.proof.people import SHOP, Person
from tests.proof.stage import KEYRINGS, Stage

PART_OF = {"payments": "billing", "shipping": "recipient", "notifications": "contact"}
# How a sealed text stands in bytes: as JSON, however often escaped, and as PostgreSQL's jsonb keeps an object, keys before values.
# Each pattern knows the end too: what was written over in part is no box any more.
_IN_JSON = re.compile(rb'box\\*"\s*:\s*\\*"([A-Za-z0-9+/_-]{64,}={0,2})\\*"')
_ENVELOPE_IN_JSONB = re.compile(rb"boxformpolicy_version([A-Za-z0-9+/]{64,}?={0,2})(?:part|label|reply)\d{4}-\d\d-\d\d")
_BOX_IN_JSONB = re.compile(rb"boxkey_idsealed_for([A-Za-z0-9+/_-]{64,}?={0,2})(?:shipping|payments|notifications)-")
FORMS = ("part", "label", "reply")


def sealed_in(data: bytes) -> set[bytes]:
    """Every box and envelope that stands in these bytes."""
    found = set()
    for pattern in (_IN_JSON, _ENVELOPE_IN_JSONB, _BOX_IN_JSONB):
        for text in pattern.findall(data):
            if (box := read_base64(text.decode())) is not None:
                found.add(box)
    return found


@dataclass(frozen=True, slots=True)
class Name:
    """Under which name an envelope would have been closed: a part of a person's order, in a form."""

    service: str
    part: PartName
    form: str


def names_of(people: Iterable[Person]) -> Iterator[Name]:
    """All that may have been closed of these people."""
    for person in people:
        for service, part in PART_OF.items():
            for form in FORMS:
                yield Name(service, PartName(SHOP, person.customer_id, person.order_number, part), form)
        for item, part in ((person.referral, "friend"), (person.request_id, "request")):
            if part in person.uses:
                for form in FORMS:
                    yield Name("notifications", PartName(SHOP, person.customer_id, item, part), form)


@dataclass
class Keys:
    """Every key that exists at one moment: in master files, wrapped in keyrings, intake keys. `wrapped` are part keys as they stand."""

    raw: set[bytes] = field(default_factory=set)
    masters: set[bytes] = field(default_factory=set)
    intake: set[bytes] = field(default_factory=set)
    wrapped: dict[tuple[str, KeyName], Wrapped] = field(default_factory=dict)
    parts: dict[tuple[str, KeyName], bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, stage: Stage) -> Keys:
        """Collect them from a running stack."""
        found = cls()
        for file in sorted((stage.folder / "keys").iterdir()):
            found.raw |= set(read_keys(file))
        for service in KEYRINGS:
            file = Path(stage.env[f"{service.upper()}_KEYRING_MASTER_KEY_FILE"])
            found.masters |= set(read_keys(file))
            found._take(service, FileMaster.read(file), stage.database(service, keyring=True))
        found.raw |= found.masters | found.intake | set(found.parts.values())
        return found

    def take_part_keys(self, stage: Stage, service: str) -> None:
        """Those that stand there now too: a friend's is destroyed when the one mail is over."""
        self._take(
            service,
            FileMaster.read(Path(stage.env[f"{service.upper()}_KEYRING_MASTER_KEY_FILE"])),
            stage.database(service, keyring=True),
        )

    def with_those_of(self, earlier: Keys) -> Keys:
        """These, and what existed earlier."""
        return Keys(
            self.raw | earlier.raw | set(earlier.parts.values()) | earlier.intake,
            self.masters | earlier.masters,
            self.intake | earlier.intake,
            earlier.wrapped | self.wrapped,
            earlier.parts | self.parts,
        )

    def _take(self, service: str, master: FileMaster, url: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            for *name, master_id, box in connection.execute("select person, item, part, master_id, wrapped from part_keys"):
                key, wrapped = KeyName(*name), Wrapped(master_id, box)
                self.wrapped[service, key] = wrapped
                self.parts[service, key] = master.unwrap(wrapped, part_key_context(service, key))
            for key_id, master_id, box in connection.execute("select key_id, master_id, private_sealed from intake_keys"):
                self.intake.add(master.unwrap(Wrapped(master_id, box), intake_key_context(service, key_id)))
            for name, master_id, box in connection.execute("select name, master_id, wrapped from service_keys"):
                self.raw.add(master.unwrap(Wrapped(master_id, box), service_key_context(service, name)))

    def with_what_they_unwrap(self, wrapped: Mapping[tuple[str, KeyName], Wrapped]) -> set[bytes]:
        """All of these keys, and the part keys that one of them unwraps: old copies of the keyring still hold those."""
        found = set(self.raw)
        for (service, name), it in wrapped.items():
            for key in self.raw:
                with suppress(InvalidTag):
                    found.add(AESGCM(key).decrypt(it.box[:12], it.box[12:], part_key_context(service, name)))
        return found


def opened_box(sealed: bytes, keys_: Iterable[bytes]) -> bytes | None:
    """What one of these makes of a box as the private half of an intake key; None where none opens it."""
    for key in keys_:
        with suppress(CryptoError, ValueError):
            return SealedBox(PrivateKey(key)).decrypt(sealed)
    return None


def opened_envelope(sealed: bytes, keys_: Iterable[bytes], name: Name) -> bytes | None:
    """What one of these makes of an envelope that was closed under this name; None where none opens it."""
    for key in keys_:
        with suppress(EnvelopeBroken, ValueError):
            return open_(key, Envelope(sealed, load().version, name.form), name.service, name.part)
    return None


def key_names(stage: Stage, names: Sequence[Name]) -> dict[Name, tuple[str, KeyName]]:
    """Where each name's part key stands in its service's keyring, by the service's own digests."""
    found = {}
    for service in KEYRINGS:
        master = FileMaster.read(Path(stage.env[f"{service.upper()}_KEYRING_MASTER_KEY_FILE"]))
        with psycopg.connect(stage.database(service, keyring=True), autocommit=True) as connection:
            permits = PolicyPermits({load().version: load()})
            vault = Vault(service, Keyring(connection), master, permits)  # type: ignore[arg-type]
            found |= {name: (service, vault.key_name(name.part)) for name in names if name.service == service}
    return found
