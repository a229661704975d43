"""Databases for every test: one PostgreSQL server per run, one fresh database per test."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from dibs import Dibs
from dibs.errors import MissingDependencyError
from dibs.testing import PostgresCluster
from tests.support.database import emptying
from tests.support.memory import keep_temporary_files_in_memory

# Hundreds of Python processes are started: they need not compile everything anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
keep_temporary_files_in_memory()

# These tests kill processes, never the machine: what a crash of the operating system would lose
# need not be paid for.
FAST = {"fsync": "off", "full_page_writes": "off", "max_connections": "300"}


WAITING = {"acceptance", "examples", "faults", "model_based", "plans", "runtime"}
"""Folders whose cases are long and mostly wait; those of the others are short and compute."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have files of both kinds take turns: side by side they seldom want the same processors.

    The short cases of `tests/unit` come last, so that processes that share the files end together.
    """
    files = list(dict.fromkeys(item.path for item in items))
    waiting = [file for file in files if file.parent.name in WAITING]
    computing = [file for file in files if file.parent.name not in WAITING]
    place = {
        file: (number + 0.5) / len(group)
        for group in (waiting, computing)
        for number, file in enumerate(group)
    }
    items.sort(key=lambda item: place[item.path])


def pytest_collection_finish() -> None:
    """Spare the garbage collector thousands of cases, which stay to the end."""
    gc.collect()
    gc.freeze()


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
def postgres_with_tables(postgres_cluster: PostgresCluster) -> str:
    """The name of a PostgreSQL database that has the tables, to be copied."""
    return _migrated(postgres_cluster.create_database()).rpartition("/")[2]


@pytest.fixture(scope="session")
def sqlite_with_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that has the tables, to be copied."""
    path = tmp_path_factory.mktemp("tables") / "dibs.db"
    _migrated(f"sqlite:///{path}")
    return path


def _migrated(url: str) -> str:
    with closing(Dibs(url)) as app:
        app.migrate()
    return url


@pytest.fixture
def has_tables(request: pytest.FixtureRequest) -> bool:
    """Whether the test's database has the tables before the test makes them."""
    return "new_app" in request.fixturenames


@pytest.fixture
def postgres_url(
    postgres_cluster: PostgresCluster, has_tables: bool, request: pytest.FixtureRequest
) -> Iterator[str]:
    template = request.getfixturevalue("postgres_with_tables") if has_tables else None
    url = postgres_cluster.create_database(template=template)
    yield url
    postgres_cluster.drop_database(url.rpartition("/")[2])


@pytest.fixture
def sqlite_url(tmp_path: Path, has_tables: bool, request: pytest.FixtureRequest) -> str:
    path = tmp_path / "dibs.db"
    if has_tables:
        shutil.copyfile(request.getfixturevalue("sqlite_with_tables"), path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def database_url(engine: str, request: pytest.FixtureRequest) -> str:
    """A fresh, empty database; a test that asks for it runs once on each engine."""
    return request.getfixturevalue(f"{engine}_url")


@pytest.fixture(scope="session")
def tables_database(postgres_cluster: PostgresCluster, postgres_with_tables: str) -> str:
    """A PostgreSQL database that has the tables, for one test after the other."""
    return postgres_cluster.create_database(template=postgres_with_tables)


@pytest.fixture(scope="session")
def empty_tables(tables_database: str) -> Iterator[Callable[[], object]]:
    """Remove from that database what a test has put there."""
    with emptying(tables_database) as empty:
        yield empty


@pytest.fixture
def tables_url(engine: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database that has the tables, without jobs; once on each engine."""
    if engine == "sqlite":
        path = request.getfixturevalue("tmp_path") / "tables.db"
        shutil.copyfile(request.getfixturevalue("sqlite_with_tables"), path)
        yield f"sqlite:///{path}"
        return
    empty = request.getfixturevalue("empty_tables")
    yield request.getfixturevalue("tables_database")
    empty()


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
