"""A part of an order for an authority: one member of staff proposes it, another approves it, and only the authority can read it.

Clause 53 and addendum A-10. The part is opened for the purpose `authorities`, both members stand in the record of openings, and orders
hears of it for its own record.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import Any, ClassVar

import orjson
from pydantic import Field, field_validator

from shared.contracts.events import DataReleased
from shared.contracts.values import OrderKey
from shared.custody.vault import Opened
from shared.delivery.work import Work
from shared.http_door import Answer, Request, StatusError, serve
from shared.policy import load
from shared.policy.uses import to_staff
from shared.sealing import seal_to_base64
from shared.staffing import store
from shared.staffing.cases import Release
from shared.staffing.door import Form, StaffDoor, read_form
from shared.staffing.permits import Need

AUTHORITIES = "authorities"  # the purpose, in the policy's word
RELEASE = "release"
_CLAUSE = re.compile(r"A-[0-9]{2}|[0-9]{1,2}")


class _Asked(Form):
    source: str = Field(max_length=500)
    order_number: str = Field(pattern=r"^[A-Za-z0-9._~-]{1,64}$")
    clause: str
    dossier: str = Field(pattern=r"^[A-Za-z0-9._/-]{1,64}$")
    authority_key: str

    @field_validator("authority_key")
    @classmethod
    def _is_a_key(cls, value: str) -> str:
        try:
            seal_to_base64(b"", value)
        except Exception:  # what is no key; what the library says of it is no matter
            raise ValueError("no key") from None
        return value


class _Approve(_Asked):
    """What is approved, told once more by whoever approves it: nobody agrees to a number alone."""

    part: str = Field(max_length=40)


class Releasing(StaffDoor):
    """The base of the doors that hold a part which an authority may ask for."""

    part: ClassVar[str]
    parts: Any

    def kept_part(self, key: OrderKey) -> tuple[str, dict[str, Any]] | None:
        """(customer_id, the order's part in its envelope); None where nothing is kept."""
        raise NotImplementedError

    @serve("POST", "/staff/releases", sessions=True)
    def propose_release(self, request: Request) -> Answer:
        at = datetime.now(UTC)
        seat = self.staff.seat(request.bearer, at)
        form = read_form(_Asked, request)
        self.staff.permit(seat, [self._need(seat.role)], at, people=2)
        if not is_of_policy(form.clause):
            raise StatusError(422, "clause_unknown", "/clause")
        key = OrderKey(form.source, form.order_number)
        if self.kept_part(key) is None:
            raise StatusError(404, "part_not_kept")
        name = f"release-{secrets.token_hex(8)}"
        proposed = Release(name, key, self.part, form.clause, form.dossier, form.authority_key, seat.account, at)
        with self.staff.begin_transaction() as connection:
            store.add_release(connection, proposed)
        return Answer(201, {"release": name, "part": self.part, "order_number": key.order_number, "proposed_by": seat.account})

    @serve("POST", "/staff/releases/<release>/approval", sessions=True)
    def approve_release(self, request: Request) -> Answer:
        """The part, sealed to the authority's key. The same member may fetch it once more: that is one more opening in the record.

        Whoever approves repeats what is released; where it is not what was proposed, nothing is opened and nothing is written.
        """
        at = datetime.now(UTC)
        seat = self.staff.seat(request.bearer, at)
        self.staff.permit(seat, [self._need(seat.role)], at, people=2)
        meant = read_form(_Approve, request)
        with self.staff.begin_transaction() as connection:
            release = store.release(connection, request.values["release"])
            refusal = "release_unknown" if release is None else release.refusal(seat.account, at)
            if release is None or refusal is not None:
                raise StatusError(404 if release is None else 403, refusal or "release_unknown")
            differing = _differing(release, meant)
            if differing:
                raise StatusError(409, "release_differs", f"/{differing[0]}")
            release = release.approved(seat.account, at)
            store.save_release(connection, release)
        opened = self._opened(release, seat.role)
        ending = self.asks("tell_release", [(release, release.key)])[0]
        if ending.kind != "done":
            raise StatusError(503, ending.code or "service_busy", headers={"Retry-After": "2"})
        return Answer(200, {"release": release.release, "part": release.part, "approved_by": list(release.people), "box": opened})

    def tell_release(self, release: Release, work: Work[Any]) -> None:
        """Orders hears who gave what to whom; what was given is not in it."""
        told = {"part": release.part, "clause": release.clause, "dossier": release.dossier, "release": release.release}
        work.tell(DataReleased(**release.key._asdict(), **told, approved_by=list(release.people), given_at=work.at))

    def _need(self, role: str) -> Need:
        return Need(RELEASE, self.part, self.staff.permits.fields(role, self.name, self.part, RELEASE))

    def _opened(self, release: Release, role: str) -> str:
        kept = self.kept_part(release.key)
        if kept is None:
            raise StatusError(404, "part_not_kept")
        who = "+".join(release.people)
        opened = self.parts.open({release.key: kept}, purpose=AUTHORITIES, actor=who, to=to_staff(role, RELEASE))
        result = opened[release.key]
        if not isinstance(result, Opened):
            raise StatusError(409, getattr(result, "code", "part_closed"))
        given = {
            "order_number": release.key.order_number,
            "part": release.part,
            "dossier": release.dossier,
            "clause": release.clause,
            "data": orjson.loads(result.plaintext),
        }
        return seal_to_base64(orjson.dumps(given), release.authority_key)


def _differing(release: Release, meant: _Approve) -> tuple[str, ...]:
    key = OrderKey(meant.source, meant.order_number)
    return release.differing(key, meant.part, meant.clause, meant.dossier, meant.authority_key)


def is_of_policy(clause: str) -> bool:
    """Whether the policy has this clause or addendum."""
    policy = load()
    if _CLAUSE.fullmatch(clause) is None:
        return False
    return clause in policy.addenda if clause.startswith("A-") else int(clause) in policy.clauses


__all__ = ["Releasing", "is_of_policy"]
