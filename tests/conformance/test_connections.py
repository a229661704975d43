"""Which connections an app takes from its callers, and what it does with each."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext import asyncio as sa_async

from dibs import ConfigurationError, SchemaError, StoreError
from tests.conformance.callers import (
    EVERY_KIND,
    KINDS,
    Caller,
    Open,
    caller_of,
    is_async,
    over_aiosqlite,
    over_async_psycopg,
    over_async_sqlalchemy,
    over_psycopg,
    over_sqlalchemy,
    over_sqlite3,
)
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face
from tests.conformance.spies import raw, sqlite_path

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def confirm(order: int) -> None: ...


def each_way(face: Face, connection: Any) -> list[Callable[[], Any]]:
    handler = face.handler(confirm)
    return [
        lambda: handler.using(connection=connection).enqueue(1),
        lambda: face.enqueue("confirm", {"order": 1}, connection=connection),
        lambda: face.enqueue_many([handler.request(1)], connection=connection),
    ]


class TestRefused:
    @pytest.mark.parametrize(
        "wrong",
        [
            object(),
            "sqlite:///shop.db",
            0,
            sqlite3,
            sa.create_engine("sqlite:///nowhere.db"),
            sa_async.create_async_engine("sqlite+aiosqlite:///nowhere.db"),
        ],
        ids=lambda wrong: type(wrong).__name__,
    )
    def test_what_is_no_connection(self, face: Face, wrong: object):
        for enqueue in each_way(face, wrong):
            with pytest.raises(
                ConfigurationError, match=r"expected a connection .*sqlite3.*psycopg"
            ):
                enqueue()
        assert face.rows() == (0, 0)

    def test_a_cursor(self, face: Face, tables_url: str):
        connect = sqlite3.connect if tables_url.startswith("sqlite") else psycopg.connect
        with closing(connect(sqlite_path(tables_url))) as connection:
            for enqueue in each_way(face, connection.cursor()):
                with pytest.raises(ConfigurationError, match="expected a connection"):
                    enqueue()

    def test_a_connection_of_the_other_engine(
        self, face: Face, engine: str, tables_database: str, tmp_path: Any
    ):
        other = {"sqlite": "postgres", "postgres": "sqlite"}[engine]
        url = f"sqlite:///{tmp_path / 'other.db'}" if other == "sqlite" else tables_database
        for kind in KINDS[other]:
            if is_async(kind) and face.runner is None:
                continue
            with caller_of(kind, url, face.runner) as caller:
                for enqueue in each_way(face, caller.connection):
                    with pytest.raises(ConfigurationError, match=f"but the app's .* is {engine}"):
                        enqueue()
        assert face.rows() == (0, 0)

    @pytest.mark.parametrize("mode", ["sync"])
    def test_an_async_connection_by_the_sync_face(self, face: Face, engine: str, tables_url: str):
        with asyncio.Runner() as runner:
            for kind in filter(is_async, KINDS[engine]):
                with caller_of(kind, tables_url, runner) as caller:
                    for enqueue in each_way(face, caller.connection):
                        with pytest.raises(ConfigurationError, match="is async; await"):
                            enqueue()
        assert face.rows() == (0, 0)

    @pytest.mark.parametrize(("engine", "kind"), EVERY_KIND)
    @pytest.mark.parametrize("mode", ["async"])
    def test_a_database_without_tables(
        self, engine: str, kind: str, new_face: OpenFace, request: pytest.FixtureRequest
    ):
        url = request.getfixturevalue(f"{engine}_url")
        face = new_face(url)
        with caller_of(kind, url, face.runner) as caller:
            for enqueue in each_way(face, caller.connection):
                caller.begin()
                with pytest.raises(SchemaError, match=r"no dibs tables.*migrate"):
                    enqueue()
                caller.rollback()


AUTOCOMMIT: dict[str, dict[str, Open]] = {
    "sqlite": {
        "sqlite3": over_sqlite3(isolation_level=None),
        "aiosqlite": over_aiosqlite(isolation_level=None),
        "SQLAlchemy": over_sqlalchemy("pysqlite", lambda e: _autocommit(e).connect()),
        "SQLAlchemy async": over_async_sqlalchemy("aiosqlite", lambda e: _autocommit(e).connect()),
    },
    "postgres": {
        "psycopg": over_psycopg(autocommit=True),
        "async psycopg": over_async_psycopg(autocommit=True),
        "SQLAlchemy": over_sqlalchemy("psycopg", lambda e: _autocommit(e).connect()),
        "SQLAlchemy async": over_async_sqlalchemy("asyncpg", lambda e: _autocommit(e).connect()),
    },
}


def _autocommit(engine: Any) -> Any:
    return engine.execution_options(isolation_level="AUTOCOMMIT")


@pytest.mark.parametrize("mode", ["async"])
@pytest.mark.parametrize(
    ("engine", "kind"),
    [pytest.param(e, kind, id=f"{e}-{kind}") for e, kinds in AUTOCOMMIT.items() for kind in kinds],
)
class TestAConnectionThatCommitsByItself:
    @pytest.fixture
    def caller(self, engine: str, kind: str, face: Face, tables_url: str) -> Iterator[Caller]:
        assert face.jobs.list() == []
        with caller_of(AUTOCOMMIT[engine][kind], tables_url, face.runner) as caller:
            yield caller

    def test_stores_at_once(self, face: Face, caller: Caller):
        for n, enqueue in enumerate(each_way(face, caller.connection), 1):
            enqueue()
            assert face.rows() == (n, n)

    def test_stores_all_or_nothing(self, face: Face, caller: Caller, tables_url: str, chunk: int):
        raw(tables_url, "refuse_poison")
        poison = face.handler(confirm, kind="poison").request(1)
        many = [face.handler(confirm).request(1)] * (chunk + 1)
        with pytest.raises(StoreError, match="poison refused"):
            face.enqueue_many([*many, poison], connection=caller.connection)
        assert face.rows() == (0, 0)
        face.enqueue_many(many, connection=caller.connection)
        assert face.stats().waiting == len(many)


@pytest.mark.parametrize(("engine", "kind"), EVERY_KIND)
@pytest.mark.parametrize("mode", ["async"])
def test_the_clock_of_the_app_counts(new_face: OpenFace, kind: str, tables_url: str):
    face = new_face(clock=lambda: NOON)
    face.jobs.list()
    with caller_of(kind, tables_url, face.runner) as caller:
        caller.begin()
        job = face.handler(confirm).using(connection=caller.connection, delay=1).enqueue(1)
        caller.commit()
    assert face.jobs.get(job.id).created_at == NOON
