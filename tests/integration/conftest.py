"""Every module here may ask for a scene of its own, and for databases as a service opens them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from shared.database import Database
from tests.fix_servers import DatabaseUrl
from tests.integration.scene import scene

DatabaseOf = Callable[[str], Database]


@pytest.fixture
def database_of(database_url: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseOf]:
    """`database_of("shipping")`: a fresh database of this service, opened as the service opens it."""
    # Nothing is patched in the tests' own process, so psycopg may wait as it likes here.
    monkeypatch.setenv("PSYCOPG_WAIT_FUNC", "wait_selector")
    made: list[Database] = []

    def database(service: str) -> Database:
        made.append(Database(database_url(service), name="test"))
        return made[-1]

    yield database
    for it in made:
        it.close()


__all__ = ["DatabaseOf", "database_of", "scene"]
