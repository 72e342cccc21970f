"""The desk of one service's staff: passwords, sessions, acknowledgements, cases, and whether a member may do what a door does."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from eventlet import tpool
from eventlet.semaphore import Semaphore

from shared.contracts.values import OrderKey
from shared.database import Database, type_of_connection
from shared.http_door import StatusError
from shared.policy.document import Policy
from shared.staffing import passwords, store
from shared.staffing.cases import Case
from shared.staffing.members import Acknowledged, Knowledge, Member, Period, due_at, knowledge, may_see
from shared.staffing.permits import MASKED, Need, StaffPermits
from shared.staffing.sessions import Limits, Session, Standing, wait_after

_BEARER = {"WWW-Authenticate": "Bearer"}
_HOUR = timedelta(hours=1)
_PASSWORDS_AT_ONCE = Semaphore(2)


@dataclass(frozen=True, slots=True)
class Rules:
    """What can be set for staff: sessions, acknowledgements, cases, and how many parts a role may have opened in an hour."""

    limits: Limits
    period: Period
    case_lasts: timedelta
    reveals_per_hour: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Seat:
    """Who is at the door: a member with an open session, or a machine with its own token, which is nobody of the staff."""

    account: str = ""
    role: str = ""
    is_machine: bool = False
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a member has of a session; `token` is given once, when it begins."""

    member: Member
    session: Session
    standing: Standing
    known: Knowledge
    due_at: datetime | None
    token: str = field(default="", repr=False)


class StaffDesk:
    """See the module. Safe to use from many greenthreads and several processes: every rule is decided on a locked row.

    Raises StatusError: 401 where nobody is there or the session is locked, 403 where it may not be, 429 where it is too often.
    """

    def __init__(self, service: str, database: Database, policy: Policy, rules: Rules) -> None:
        self.service, self._database, self._policy, self.rules = service, database, policy, rules
        self.permits = StaffPermits(policy.staff.values())
        passwords.prepare()

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, name: str, password: str, at: datetime) -> Shown:
        """A session for whoever has this name and password. One answer for every wrong pair, and one pace."""
        with self._database.begin() as connection:
            member = store.member_named(connection, name)
        self._prove(name, member, password, at)
        assert member is not None  # noqa: S101 - nobody else is proved
        token, session = passwords.new_token(), Session(member.account, at, at)
        with self._database.begin() as connection:
            store.add_session(connection, passwords.token_digest(token), session, at - self.rules.limits.lifetime)
            return self._shown(connection, member, session, at, token)

    def unlock(self, token: str, password: str, at: datetime) -> Shown:
        """The same session, open again. A wrong password leaves it locked."""
        digest = passwords.token_digest(token)
        with self._database.begin() as connection:
            member, _ = self._found(connection, digest, at)
        self._prove(member.name, member, password, at)
        with self._database.begin() as connection:
            member, session = self._found(connection, digest, at)
            session = session.unlocked(at, self.rules.limits)
            store.save_session(connection, digest, session)
            return self._shown(connection, member, session, at)

    def lock(self, token: str, at: datetime) -> None:
        """Whoever leaves the desk locks it. Safe to repeat."""
        digest = passwords.token_digest(token)
        with self._database.begin() as connection:
            _, session = self._found(connection, digest, at)
            store.save_session(connection, digest, session.locked(at))

    def end(self, token: str) -> None:
        """Safe to repeat."""
        with self._database.begin() as connection:
            store.end_session(connection, passwords.token_digest(token))

    def look(self, token: str, at: datetime) -> Shown:
        """How the session stands. Looking is no action: nothing slides."""
        with self._database.begin() as connection:
            member, session = self._found(connection, passwords.token_digest(token), at)
            return self._shown(connection, member, session, at)

    def seat(self, token: str, at: datetime, *, is_background: bool = False) -> Seat:
        """Who has this open session. What a person does keeps it open; what runs in the background does not."""
        digest = passwords.token_digest(token)
        with self._database.begin() as connection:
            member, session = self._found(connection, digest, at)
            is_open = session.standing(at, self.rules.limits) is Standing.OPEN
            if not is_open:
                store.save_session(connection, digest, session.locked(at))
            elif not is_background:
                store.save_session(connection, digest, session.acted(at, self.rules.limits))
        if not is_open:
            raise StatusError(401, "session_locked", headers=_BEARER)
        return Seat(member.account, member.role, ends_at=session.ends_at(self.rules.limits))

    # ── what a member knows and may ──────────────────────────────────────────────────────────────────────────────────────────

    def acknowledge(self, account: str, version: str, at: datetime) -> datetime | None:
        """That the member has read the version in force; when it is due again. Raises 409 for another version."""
        if version != self._policy.version:
            raise StatusError(409, "policy_version_not_in_force", "/policy_version")
        with self._database.begin() as connection:
            store.acknowledge(connection, account, Acknowledged(version, at))
            return due_at(store.last_acknowledged(connection, account), version, self.rules.period)

    def permit(self, seat: Seat, needs: Sequence[Need], at: datetime, *, case: Case | None = None, people: int = 1) -> None:
        """Let the member do all of this, or raise 403. What is opened counts towards the role's hour, and 429 says when it is full.

        A `case` is one that was found to be this member's and this order's.
        """
        for need in needs:
            refusal = self.permits.refusal_of(
                need, role=seat.role, service=self.service, has_case=case is not None, people=people
            )
            if refusal is not None:
                raise StatusError(403, refusal)
        with self._database.begin() as connection:
            last = store.last_acknowledged(connection, seat.account)
            if not may_see(knowledge(last, self._policy.version, at, self.rules.period)):
                raise StatusError(403, "policy_not_acknowledged")
            if any(self._policy.parts[need.part].sealed and need.action != MASKED for need in needs):
                self._count(connection, seat, at)

    def open_case(self, seat: Seat, key: OrderKey, reason: str, ticket: str | None, at: datetime) -> Case:
        """A case for one order. Raises 403 for whom no grant needs one here, and for whom has not acknowledged the policy."""
        if not any((it.role, it.service) == (seat.role, self.service) and it.needs_case for it in self._policy.staff.values()):
            raise StatusError(403, "not_granted")
        case = Case(f"case-{secrets.token_hex(8)}", seat.account, key, reason, ticket, at, at + self.rules.case_lasts)
        with self._database.begin() as connection:
            last = store.last_acknowledged(connection, seat.account)
            if not may_see(knowledge(last, self._policy.version, at, self.rules.period)):
                raise StatusError(403, "policy_not_acknowledged")
            store.add_case(connection, case)
        return case

    def case(self, seat: Seat, case_id: str, key: OrderKey, at: datetime) -> Case:
        """The member's case of this order. Raises 403."""
        with self._database.begin() as connection:
            case = store.case(connection, case_id)
        refusal = "case_unknown" if case is None else case.refusal(seat.account, key, at)
        if case is None or refusal is not None:
            raise StatusError(403, refusal or "case_unknown")
        return case

    def begin_transaction(self) -> AbstractContextManager[type_of_connection]:
        """A transaction on the desk's tables."""
        return self._database.begin()

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _prove(self, name: str, member: Member | None, password: str, at: datetime) -> None:
        """The failure is written down before the password is looked at: many tries at once gain nothing."""
        digest = hashlib.sha256(name.encode()).hexdigest()
        with self._database.begin() as connection:
            failures, last_at = store.tries(connection, digest)
            left = (last_at + wait_after(failures) - at) if last_at is not None else timedelta(0)
            if left > timedelta(0):
                raise StatusError(429, "too_many_tries", headers={"Retry-After": str(int(left.total_seconds()) + 1)})
            store.note_try(connection, digest, failures + 1, at)
        with _PASSWORDS_AT_ONCE:  # in a thread of their own, so that nothing else of the process waits for them
            is_right = tpool.execute(passwords.is_right, member.secret_hash if member is not None else None, password)
        if member is None or not is_right or not member.is_active:
            raise StatusError(401, "name_or_password_wrong", headers=_BEARER)
        with self._database.begin() as connection:
            store.clear_tries(connection, digest)

    def _found(self, connection: type_of_connection, digest: str, at: datetime) -> tuple[Member, Session]:
        session = store.session(connection, digest)
        member = store.member(connection, session.account) if session is not None else None
        is_over = session is None or session.standing(at, self.rules.limits) is Standing.OVER
        if session is None or member is None or is_over or not member.is_active:
            raise StatusError(401, "token_wrong", headers=_BEARER)
        return member, session

    def _shown(self, connection: type_of_connection, member: Member, session: Session, at: datetime, token: str = "") -> Shown:
        last, version, period = store.last_acknowledged(connection, member.account), self._policy.version, self.rules.period
        standing = session.standing(at, self.rules.limits)
        return Shown(member, session, standing, knowledge(last, version, at, period), due_at(last, version, period), token)

    def _count(self, connection: type_of_connection, seat: Seat, at: datetime) -> None:
        had, limit = store.reveals_since(connection, seat.account, at - _HOUR), self.rules.reveals_per_hour.get(seat.role, 0)
        if had.count >= limit:
            again_at = (had.first_at or at) + _HOUR
            raise StatusError(429, "too_many_reveals", headers={"Retry-After": str(int((again_at - at).total_seconds()) + 1)})
        store.note_reveal(connection, seat.account, at, at - _HOUR)
