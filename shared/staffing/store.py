"""All SQL about staff. Every function works on the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contracts.values import OrderKey
from shared.database import type_of_connection
from shared.staffing.cases import Case, Release
from shared.staffing.members import Acknowledged, Member
from shared.staffing.sessions import Session

_TRIES_LAST = timedelta(days=1)


# ── members ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def member_named(connection: type_of_connection, name: str) -> Member | None:
    """Whoever has this name, shut out or not."""
    row = connection.execute(
        "select account, name, role, is_active, secret_hash from staff_accounts where name = %s", (name,)
    ).fetchone()
    return Member(*row) if row else None


def member(connection: type_of_connection, account: str) -> Member | None:
    """Whoever has this account, shut out or not."""
    row = connection.execute(
        "select account, name, role, is_active, secret_hash from staff_accounts where account = %s", (account,)
    ).fetchone()
    return Member(*row) if row else None


def members(connection: type_of_connection) -> list[Member]:
    """All of them, by name."""
    rows = connection.execute("select account, name, role, is_active, secret_hash from staff_accounts order by name")
    return [Member(*row) for row in rows]


def save_member(connection: type_of_connection, it: Member, at: datetime) -> None:
    """A new member, or one with another password or state; name and role never change. Whoever is changed has no session any more."""
    connection.execute(
        """
        insert into staff_accounts (account, name, role, secret_hash, is_active, changed_at) values (%s, %s, %s, %s, %s, %s)
        on conflict (account) do update
            set secret_hash = excluded.secret_hash, is_active = excluded.is_active, changed_at = excluded.changed_at
        """,
        (it.account, it.name, it.role, it.secret_hash, it.is_active, at),
    )
    connection.execute("delete from staff_sessions where account = %s", (it.account,))


# ── tries ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def tries(connection: type_of_connection, name_digest: str) -> tuple[int, datetime | None]:
    """(failures in a row, the last one's time) under a name; locked, so that one try at a time is counted."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (name_digest,))
    row = connection.execute("select failures, last_at from staff_tries where name_digest = %s", (name_digest,)).fetchone()
    return (row[0], row[1]) if row else (0, None)


def note_try(connection: type_of_connection, name_digest: str, failures: int, at: datetime) -> None:
    """Count a failure; those of yesterday are forgotten, whoever they were about."""
    connection.execute(
        """
        insert into staff_tries (name_digest, failures, last_at) values (%s, %s, %s)
        on conflict (name_digest) do update set failures = excluded.failures, last_at = excluded.last_at
        """,
        (name_digest, failures, at),
    )
    connection.execute("delete from staff_tries where last_at < %s", (at - _TRIES_LAST,))


def clear_tries(connection: type_of_connection, name_digest: str) -> None:
    connection.execute("delete from staff_tries where name_digest = %s", (name_digest,))


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def session(connection: type_of_connection, token_digest: str) -> Session | None:
    """The session, its row locked until the transaction ends."""
    row = connection.execute(
        "select account, begun_at, acted_at, locked_at from staff_sessions where token_digest = %s for update", (token_digest,)
    ).fetchone()
    return Session(*row) if row else None


def add_session(connection: type_of_connection, token_digest: str, it: Session, oldest: datetime) -> None:
    """A new session; those that began before `oldest` are over and go."""
    connection.execute("delete from staff_sessions where begun_at <= %s", (oldest,))
    connection.execute(
        "insert into staff_sessions (token_digest, account, begun_at, acted_at, locked_at) values (%s, %s, %s, %s, %s)",
        (token_digest, it.account, it.begun_at, it.acted_at, it.locked_at),
    )


def save_session(connection: type_of_connection, token_digest: str, it: Session) -> None:
    connection.execute(
        "update staff_sessions set acted_at = %s, locked_at = %s where token_digest = %s",
        (it.acted_at, it.locked_at, token_digest),
    )


def end_session(connection: type_of_connection, token_digest: str) -> None:
    connection.execute("delete from staff_sessions where token_digest = %s", (token_digest,))


# ── acknowledgements ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def last_acknowledged(connection: type_of_connection, account: str) -> Acknowledged | None:
    """The member's last one, of whatever version."""
    row = connection.execute(
        "select policy_version, acknowledged_at from staff_acknowledgements where account = %s order by acknowledged_at desc limit 1",
        (account,),
    ).fetchone()
    return Acknowledged(*row) if row else None


def acknowledge(connection: type_of_connection, account: str, it: Acknowledged) -> None:
    connection.execute(
        "insert into staff_acknowledgements (account, policy_version, acknowledged_at) values (%s, %s, %s) on conflict do nothing",
        (account, it.policy_version, it.at),
    )


# ── cases and reveals ────────────────────────────────────────────────────────────────────────────────────────────────────────


def add_case(connection: type_of_connection, it: Case) -> None:
    connection.execute(
        """
        insert into staff_cases (case_id, account, shop, order_number, reason, ticket, opened_at, expires_at)
        values (%s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (it.case_id, it.account, *it.key, it.reason, it.ticket, it.opened_at, it.expires_at),
    )


def case(connection: type_of_connection, case_id: str) -> Case | None:
    """The case of this name, over or not."""
    row = connection.execute(
        "select case_id, account, shop, order_number, reason, ticket, opened_at, expires_at from staff_cases where case_id = %s",
        (case_id,),
    ).fetchone()
    return Case(row[0], row[1], OrderKey(row[2], row[3]), *row[4:]) if row else None


@dataclass(frozen=True, slots=True)
class Reveals:
    """How often a member had something opened since a time, and when first."""

    count: int
    first_at: datetime | None


def reveals_since(connection: type_of_connection, account: str, since: datetime) -> Reveals:
    """The member's row is locked, so that one reveal at a time is counted."""
    connection.execute("select 1 from staff_accounts where account = %s for update", (account,))
    row = connection.execute(
        "select count(*), min(at) from staff_reveals where account = %s and at > %s", (account, since)
    ).fetchone()
    return Reveals(*row) if row else Reveals(0, None)


def note_reveal(connection: type_of_connection, account: str, at: datetime, since: datetime) -> None:
    """One more; those from before `since` count for nothing any more and go."""
    connection.execute("delete from staff_reveals where account = %s and at <= %s", (account, since))
    connection.execute("insert into staff_reveals (account, at) values (%s, %s)", (account, at))


# ── releases ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def add_release(connection: type_of_connection, it: Release) -> None:
    connection.execute(
        """
        insert into staff_releases (
            release, shop, order_number, part, clause, dossier, authority_key, proposed_by, proposed_at, approved_by, approved_at
        ) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            *(it.release, *it.key, it.part, it.clause, it.dossier, it.authority_key),
            *(it.proposed_by, it.proposed_at, it.approved_by, it.approved_at),
        ),
    )


def release(connection: type_of_connection, name: str) -> Release | None:
    """The release, its row locked until the transaction ends."""
    row = connection.execute(
        """
        select release, shop, order_number, part, clause, dossier, authority_key, proposed_by, proposed_at, approved_by, approved_at
        from staff_releases where release = %s for update
        """,
        (name,),
    ).fetchone()
    return Release(row[0], OrderKey(row[1], row[2]), *row[3:]) if row else None


def save_release(connection: type_of_connection, it: Release) -> None:
    connection.execute(
        "update staff_releases set approved_by = %s, approved_at = %s where release = %s",
        (it.approved_by, it.approved_at, it.release),
    )


def everybody(connection: type_of_connection) -> Sequence[tuple[Member, Acknowledged | None]]:
    """All members with what each acknowledged last, by name."""
    return [(it, last_acknowledged(connection, it.account)) for it in members(connection)]
