"""Databases for every test: one PostgreSQL server per run, one fresh database per test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dibs import Dibs
from dibs.errors import MissingDependencyError
from dibs.testing import PostgresCluster

# These tests kill processes, never the machine: what a crash of the operating system would lose
# need not be paid for.
FAST = {"fsync": "off", "full_page_writes": "off", "max_connections": "300"}


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    """The run's PostgreSQL server, started by the first test that asks for it."""
    cluster = PostgresCluster(settings=FAST)
    try:
        cluster.start()
    except MissingDependencyError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{error} (with CI set, this is a failure)")
    with cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres_template() -> str | None:
    """The database that each test's own is copied from; a folder's conftest may put another."""
    return None


@pytest.fixture
def postgres_url(postgres_cluster: PostgresCluster, postgres_template: str | None) -> Iterator[str]:
    url = postgres_cluster.create_database(template=postgres_template)
    yield url
    postgres_cluster.drop_database(url.rpartition("/")[2])


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'dibs.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def database_url(engine: str, request: pytest.FixtureRequest) -> str:
    """A fresh, empty database; a test that asks for it runs once on each engine."""
    return request.getfixturevalue(f"{engine}_url")


@pytest.fixture
def new_app(database_url: str) -> Iterator[Callable[..., Dibs]]:
    """Make apps with options of their own on one database with tables; closed at the end."""
    with ExitStack() as closing:

        def make(**options: Any) -> Dibs:
            app = Dibs(database_url, **options)
            closing.callback(app.close)
            app.migrate()
            return app

        yield make
