"""Every case on SQLite and PostgreSQL, sync and async, through one fixture: `face`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from dibs.client import dead_batches
from dibs.store.ops import dead, enqueue
from dibs.testing import PostgresCluster
from tests.conformance.dying import Morgue
from tests.conformance.explaining import Shop
from tests.conformance.face import Face, faces

OpenFace = Callable[..., Face]


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """Which face of the app a test uses."""
    return request.param


@pytest.fixture
def new_face(tables_url: str, mode: str) -> Iterator[OpenFace]:
    """Make faces of apps with options of their own, all on one database; closed at the end."""
    with faces(mode) as make:
        yield lambda url=tables_url, **options: make(url, **options)


@pytest.fixture
def face(new_face: OpenFace) -> Face:
    """An app on a fresh database: one engine and one face at a time, four times in all."""
    return new_face()


@pytest.fixture
def chunk(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many jobs one statement stores at most; fewer than usual, so that more come quickly."""
    monkeypatch.setattr(enqueue, "CHUNK", 500)
    return enqueue.CHUNK


@pytest.fixture
def batch(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many dead letters one statement changes at most; fewer than usual, too."""
    for module in (dead, dead_batches):
        monkeypatch.setattr(module, "BATCH", 100)
    return dead.BATCH


@pytest.fixture
def morgue(face: Face, tables_url: str) -> Morgue:
    """An app whose jobs die."""
    return Morgue(face, tables_url)


@pytest.fixture
def shop(new_face: OpenFace, tables_url: str) -> Shop:
    """A queue whose jobs are explained, in a database of its own."""
    return Shop(new_face, tables_url)


@pytest.fixture(
    scope="module", params=["sqlite-sync", "sqlite-async", "postgres-sync", "postgres-async"]
)
def lasting_face(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Face]:
    """Like `face`, shared by a module whose cases don't mind each other's jobs."""
    engine, mode = request.param.split("-")
    if engine == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('lasting') / 'dibs.db'}"
    else:
        cluster: PostgresCluster = request.getfixturevalue("postgres_cluster")
        url = cluster.create_database()
    with faces(mode) as make:
        face = make(url)
        face.migrate()
        yield face
