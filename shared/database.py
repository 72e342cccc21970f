"""Connections to PostgreSQL under eventlet, and its errors translated to ours.

psycopg's C wait function does not know eventlet and would block the whole process, so `shared.runtime` sets
`PSYCOPG_WAIT_FUNC=wait_selector` before psycopg is imported; `Database` refuses to work without it. Statements wait by eventlet's own
trampoline, which costs a third less than the selector (decision 0008).
"""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from typing import Any, TypeVar

import orjson
import psycopg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # eventlet says at its import that it is only maintained; a command need not repeat it
    from eventlet.green import select
    from eventlet.hubs import trampoline
    from eventlet.patcher import original
from psycopg import errors, waiting
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types.json import set_json_loads

from shared.contracts.errors import TryLater

set_json_loads(orjson.loads)
_poll, _POLLOUT = original("select").poll, original("select").POLLOUT
T = TypeVar("T")
type_of_connection = psycopg.Connection[tuple[Any, ...]]
type_of_cursor = psycopg.Cursor[tuple[Any, ...]]


class DatabaseUnavailable(TryLater):
    """The database does not answer, is full, is going down or not ready; whether a commit under way was made is not known."""

    def __init__(self, code: str = "database_unavailable") -> None:
        super().__init__(code)


class DatabaseUntrusted(DatabaseUnavailable):
    """The server's certificate is of no authority that counts, of another host, or there is none: nothing was sent, not even a password."""

    def __init__(self) -> None:
        super().__init__("database_untrusted")


class StatementRefused(DatabaseUnavailable):
    """The server takes no such statement now: a table, a column or a grant is not there (yet), or it took too long.

    Mostly a migration or a failover under way, and then all fail alike; where others pass it is the statement's own fault.
    """

    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"database_{sqlstate.lower()}")


class Contended(TryLater):
    """Another process changed the same rows at the same time; nothing was committed, trying again at once is right."""

    def __init__(self) -> None:
        super().__init__("contended")


_CONTENTION = (errors.UniqueViolation, errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable)

# SQLSTATE classes that say "not now": connection, resources, the operator, the system. Then what a failover or a migration under way
# shows for a while: a read-only server; and, as may also be one statement's own fault, one that waits too long (for the rows of a commit
# that itself waits for a standby), a table, a column or a grant that is not there yet.
_UNAVAILABLE_CLASSES = ("08", "53", "57P", "58")
_UNAVAILABLE_STATES = frozenset({"25006"})
_REFUSED_STATES = frozenset({"57014", "42P01", "42703", "42501"})

# How soon a server that is gone without a word is given up, and never one to stay with that takes no writes: of several hosts in the
# URL the one that does is found. What the URL says itself stands.
_CONNECTING = {
    "connect_timeout": "5",
    "tcp_user_timeout": "15000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "target_session_attrs": "read-write",
}


def _unsaid(url: str) -> dict[str, str]:
    """Of how we connect what the URL does not say itself."""
    given = conninfo_to_dict(url)
    return {key: value for key, value in _CONNECTING.items() if key not in given}


def connect_to_write(url: str, *, autocommit: bool = False) -> type_of_connection:
    """A plain connection for a command that writes: of several hosts in the URL to the one that takes writes. Raises psycopg.Error."""
    return psycopg.connect(url, autocommit=autocommit, **_unsaid(url))  # type: ignore[arg-type]


# What libpq says, in the C locale or not, before it has a server to ask for an SQLSTATE.
_UNTRUSTED = re.compile(r"certificate|does not support SSL")


def is_untrusted(error: psycopg.OperationalError) -> bool:
    """Whether a connection failed because of the other side's certificate."""
    return error.sqlstate is None and _UNTRUSTED.search(str(error)) is not None


def _is_unavailable(error: psycopg.Error) -> bool:
    """Whether waiting helps, rather than leaving out what was asked."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(_UNAVAILABLE_CLASSES) or error.sqlstate in _UNAVAILABLE_STATES


class Awaited(Set[T]):
    """What a statement gives, as a set that waits for it when it is first looked at: `fetch` is called then, once."""

    def __init__(self, fetch: Callable[[], Iterable[T]]) -> None:
        self._fetch: Callable[[], Iterable[T]] | None = fetch
        self._read: frozenset[T] = frozenset()

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[T]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    @property
    def _members(self) -> frozenset[T]:
        if self._fetch is not None:
            self._read, self._fetch = frozenset(self._fetch()), None
        return self._read


class _Cursor(psycopg.Cursor[tuple[Any, ...]]):
    """A cursor whose count and columns are awaited, as its rows are, where statements are sent together: psycopg has none until then."""

    @property
    def rowcount(self) -> int:
        self._await()
        return super().rowcount

    @property
    def description(self) -> list[psycopg.Column] | None:
        self._await()
        return super().description

    def _await(self) -> None:
        if isinstance(self.connection, _GreenConnection) and self.connection.sent is not None:
            self.connection.sent.sync()


class _GreenConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose waits let other greenthreads run. `sent` is there while statements are sent together."""

    sent: psycopg.Pipeline | None = None
    _poller: Any = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        fileno = self.pgconn.socket
        try:
            wanted = next(gen)
            while True:
                if wanted == waiting.WAIT_R:
                    trampoline(fileno, read=True)
                    ready = int(waiting.READY_R)
                else:
                    ready = self._state(fileno)
                    if not ready:  # a statement that is longer than the socket's buffer
                        readable, writable, _ = select.select([fileno], [fileno], [], interval)
                        ready = (waiting.READY_R if readable else 0) | (waiting.READY_W if writable else 0)
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value
        except Exception:
            raise
        except BaseException:
            # A greenthread that is ended while it waits leaves a statement at work: nobody can have this connection any more.
            self.close()
            raise

    def _state(self, fileno: int) -> int:
        """Whether the socket can be read and written at this moment, without a word to the hub: it mostly can be written."""
        if self._poller is None:
            self._poller = _poll()
            self._poller.register(fileno)
        found = self._poller.poll(0)
        mask: int = found[0][1] if found else 0
        return (waiting.READY_R if mask & ~_POLLOUT else 0) | (waiting.READY_W if mask & _POLLOUT else 0)


# A server at work on a statement does not see by itself that whoever asked is gone, and would keep what the statement has locked until it
# ends or is too long. It looks every second.
_GONE = "-c client_connection_check_interval=1000"

# Every statement of ours looks rows up by their keys, in tables that grow from nothing to millions. Plans that read a whole table are
# tempting while it is small or not analysed yet, and wrong a minute later; measured, they cost a third of the database's time (decision 0024).
_BY_KEY = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"


class Database:
    """A small pool of connections for one process of one service.

    `begin()` gives a connection inside a transaction that commits on a clean exit and rolls back on any exception. Connections are made
    when needed, at most `most_connections`, and thrown away when broken. Safe to use from many greenthreads; further ones wait.
    """

    def __init__(self, url: str, *, name: str, most_connections: int = 6, synchronous_commit: bool = True) -> None:
        if os.environ.get("PSYCOPG_WAIT_FUNC") != "wait_selector":
            raise RuntimeError("PSYCOPG_WAIT_FUNC must be wait_selector before psycopg is imported: see shared.runtime")
        self._url = url
        self._options = _unsaid(url) | {
            "application_name": name,
            "options": f"-c jit=off {_BY_KEY} {_GONE} -c synchronous_commit={'on' if synchronous_commit else 'off'} -c timezone=UTC"
            " -c statement_timeout=30000",
        }
        self._idle: deque[type_of_connection] = deque()
        self._places = threading.BoundedSemaphore(most_connections)

    @contextmanager
    def begin(self) -> Iterator[type_of_connection]:
        """A transaction. Raises `Contended` or `DatabaseUnavailable` (nothing committed), or the programmer's error as it is."""
        with self._lent() as connection, connection.transaction():
            yield connection

    @contextmanager
    def together(self) -> Iterator[type_of_connection]:
        """A transaction as `begin` gives it, whose statements are sent as they are asked for, and their answers awaited when they are read.

        So a transaction takes as many round trips as it reads in between, and one more. An answer may be read after the end, too. What a
        statement that nobody reads fails of is raised by a later one, or at the end. Raises what `begin` raises.
        """
        with self._lent() as connection:
            assert isinstance(connection, _GreenConnection)  # noqa: S101 - there are no others
            try:
                with connection.pipeline() as connection.sent:
                    connection.execute("BEGIN")
                    yield connection
                    connection.execute("COMMIT", prepare=False)  # so that whoever listens knows a commit by its word
            finally:
                connection.sent = None
                if not connection.closed and connection.info.transaction_status is not TransactionStatus.IDLE:
                    connection.rollback()

    @contextmanager
    def single(self) -> Iterator[type_of_connection]:
        """A connection for single statements, each its own transaction: no round trips to begin and to commit.

        Raises what `begin` raises.
        """
        with self._lent() as connection:
            yield connection

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _lent(self) -> Iterator[type_of_connection]:
        with self._places:
            connection = self._take()
            try:
                yield connection
            except _CONTENTION:
                raise Contended from None
            except psycopg.Error as error:
                if error.sqlstate in _REFUSED_STATES:
                    raise StatementRefused(error.sqlstate) from None
                if not _is_unavailable(error):
                    raise
                connection.close()
                self.close()  # the others went the same way, most likely
                raise DatabaseUnavailable from None
            finally:
                self._give_back(connection)

    def _take(self) -> type_of_connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        try:
            # Statements are prepared by the server after their third use; all of ours are few and repeat for ever.
            return _GreenConnection.connect(
                self._url,
                autocommit=True,
                row_factory=tuple_row,
                cursor_factory=_Cursor,
                prepare_threshold=2,
                **self._options,  # type: ignore[arg-type]
            )
        except psycopg.OperationalError as error:
            raise (DatabaseUntrusted if is_untrusted(error) else DatabaseUnavailable) from None

    def _give_back(self, connection: type_of_connection) -> None:
        # A worker that was ended in the middle of a statement leaves its connection at work: nobody else may have it.
        if connection.closed or connection.info.transaction_status is not TransactionStatus.IDLE:
            connection.close()
        else:
            self._idle.append(connection)
