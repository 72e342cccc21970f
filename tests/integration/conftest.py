"""Every module here may ask for a scene of its own, for databases as a service opens them, and for a PostgreSQL with its standby."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from deploy.local.postgres_pair import PostgresPair
from shared.database import Database
from tests.fix_servers import DatabaseUrl
from tests.integration.scene import Scene, Service, scene

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


@pytest.fixture(scope="module")
def _pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresPair]:
    it = PostgresPair(tmp_path_factory.mktemp("pair") / "data", dies_with_parent=True)
    yield it
    it.remove()


@pytest.fixture
def pair(_pair: PostgresPair) -> PostgresPair:
    """The pair of this module, whatever became of it before: up, and its standby in step."""
    _pair.start()
    return _pair


@pytest.fixture(scope="module")
def probe(scene: Scene) -> Service:
    """The probe (`tests.integration.probe`) in payments' place; not up yet."""
    return scene.service("payments", module="tests.integration.probe")


__all__ = ["DatabaseOf", "_pair", "database_of", "pair", "probe", "scene"]
