"""Callers' own connections, each as a user would open it, behind one small interface."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiosqlite
import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext import asyncio as sa_async
from sqlalchemy.pool import NullPool

from tests.conformance.spies import sqlite_path


class Caller:
    """A connection with an open transaction, or none yet; `wait` runs what an async one returns."""

    def __init__(
        self, connection: Any, wait: Callable[[Any], Any] | None = None, *, explicit: bool = False
    ) -> None:
        self.connection = connection
        self.asynchronous = wait is not None
        self._wait = wait or (lambda value: value)
        self._explicit = explicit

    def begin(self) -> None:
        """Begin a transaction where this connection's user has to say so."""
        if self._explicit:
            self.execute("BEGIN")

    def execute(self, sql: str) -> None:
        alchemy = type(self.connection).__module__.startswith("sqlalchemy")
        self._wait(self.connection.execute(sa.text(sql) if alchemy else sql))

    def commit(self) -> None:
        self.execute("COMMIT") if self._explicit else self._wait(self.connection.commit())

    def rollback(self) -> None:
        self.execute("ROLLBACK") if self._explicit else self._wait(self.connection.rollback())

    def close(self) -> None:
        self._wait(self.connection.close())


Open = Callable[[str, Callable[[Any], Any]], Iterator[Caller]]


def over_sqlite3(*, explicit: bool = False, rows: Any = None, **options: Any) -> Open:
    def open_(url: str, wait: Callable[[Any], Any]) -> Iterator[Caller]:
        connection = sqlite3.connect(sqlite_path(url), **options)
        connection.row_factory = rows
        yield Caller(connection, explicit=explicit)

    return open_


def over_aiosqlite(*, explicit: bool = False, rows: Any = None, **options: Any) -> Open:
    def open_(url: str, wait: Callable[[Any], Any]) -> Iterator[Caller]:
        connection = wait(aiosqlite.connect(sqlite_path(url), **options))
        connection.row_factory = rows
        yield Caller(connection, wait, explicit=explicit)

    return open_


def over_psycopg(*, explicit: bool = False, **options: Any) -> Open:
    options.setdefault("autocommit", explicit)

    def open_(url: str, wait: Callable[[Any], Any]) -> Iterator[Caller]:
        yield Caller(psycopg.connect(url, **options), explicit=explicit)

    return open_


def over_async_psycopg(*, explicit: bool = False, **options: Any) -> Open:
    options.setdefault("autocommit", explicit)

    def open_(url: str, wait: Callable[[Any], Any]) -> Iterator[Caller]:
        connect = psycopg.AsyncConnection.connect(url, **options)
        yield Caller(wait(connect), wait, explicit=explicit)

    return open_


def over_sqlalchemy(driver: str, make: Callable[[sa.Engine], Any]) -> Open:
    def open_(url: str, wait: Callable[[Any], Any]) -> Iterator[Caller]:
        engine = sa.create_engine(_with_driver(url, driver), poolclass=NullPool)
        yield Caller(make(engine))
        engine.dispose()

    return open_


def over_async_sqlalchemy(driver: str, make: Callable[[sa_async.AsyncEngine], Any]) -> Open:
    def open_(url: str, wait: Callable[[Any], Any]) -> Iterator[Caller]:
        engine = sa_async.create_async_engine(_with_driver(url, driver), poolclass=NullPool)
        source = make(engine)
        if isinstance(source, sa_async.AsyncConnection):
            source = wait(source)
        yield Caller(source, wait)
        wait(engine.dispose())

    return open_


def _with_driver(url: str, driver: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}+{driver}://{rest}"


def _as_dict(cursor: Any, row: Any) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def _scoped(engine: sa.Engine) -> Any:
    return orm.scoped_session(orm.sessionmaker(engine))


def _async_scoped(engine: sa_async.AsyncEngine) -> Any:
    return sa_async.async_scoped_session(
        sa_async.async_sessionmaker(engine), scopefunc=lambda: None
    )


def _begun_by_listener(engine: sa.Engine) -> sa.Connection:
    """Connect as SQLAlchemy's documentation says, so that sqlite3 begins nothing by itself."""

    @sa.event.listens_for(engine, "connect")
    def leave_to_us(connection: Any, record: Any) -> None:
        connection.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine.connect()


def _connect(engine: Any) -> Any:
    return engine.connect()


SQLITE: dict[str, Open] = {
    "sqlite3": over_sqlite3(),
    "sqlite3 immediate": over_sqlite3(isolation_level="IMMEDIATE"),
    "sqlite3 rows by name": over_sqlite3(rows=sqlite3.Row),
    "sqlite3 rows as dicts": over_sqlite3(rows=_as_dict),
    "sqlite3 explicit": over_sqlite3(explicit=True, isolation_level=None),
    "aiosqlite": over_aiosqlite(),
    "aiosqlite rows by name": over_aiosqlite(rows=sqlite3.Row),
    "aiosqlite rows as dicts": over_aiosqlite(rows=_as_dict),
    "aiosqlite explicit": over_aiosqlite(explicit=True, isolation_level=None),
    "SQLAlchemy Connection": over_sqlalchemy("pysqlite", _connect),
    "SQLAlchemy Connection, begun by a listener": over_sqlalchemy("pysqlite", _begun_by_listener),
    "SQLAlchemy Session": over_sqlalchemy("pysqlite", orm.Session),
    "SQLAlchemy scoped_session": over_sqlalchemy("pysqlite", _scoped),
    "SQLAlchemy AsyncConnection": over_async_sqlalchemy("aiosqlite", _connect),
    "SQLAlchemy AsyncSession": over_async_sqlalchemy("aiosqlite", sa_async.AsyncSession),
    "SQLAlchemy async_scoped_session": over_async_sqlalchemy("aiosqlite", _async_scoped),
}
if sys.version_info >= (3, 12):
    SQLITE["sqlite3 autocommit=False"] = over_sqlite3(autocommit=False)
    SQLITE["sqlite3 autocommit=True"] = over_sqlite3(explicit=True, autocommit=True)

POSTGRES: dict[str, Open] = {
    "psycopg": over_psycopg(),
    "psycopg rows as dicts": over_psycopg(row_factory=psycopg.rows.dict_row),
    "psycopg explicit": over_psycopg(explicit=True),
    "async psycopg": over_async_psycopg(),
    "async psycopg rows as dicts": over_async_psycopg(row_factory=psycopg.rows.dict_row),
    "async psycopg explicit": over_async_psycopg(explicit=True),
    "SQLAlchemy Connection": over_sqlalchemy("psycopg", _connect),
    "SQLAlchemy Session": over_sqlalchemy("psycopg", orm.Session),
    "SQLAlchemy scoped_session": over_sqlalchemy("psycopg", _scoped),
    "SQLAlchemy AsyncConnection, psycopg": over_async_sqlalchemy("psycopg", _connect),
    "SQLAlchemy AsyncSession, psycopg": over_async_sqlalchemy("psycopg", sa_async.AsyncSession),
    "SQLAlchemy AsyncConnection, asyncpg": over_async_sqlalchemy("asyncpg", _connect),
    "SQLAlchemy AsyncSession, asyncpg": over_async_sqlalchemy("asyncpg", sa_async.AsyncSession),
    "SQLAlchemy async_scoped_session, asyncpg": over_async_sqlalchemy("asyncpg", _async_scoped),
}

KINDS = {"sqlite": SQLITE, "postgres": POSTGRES}

EVERY_KIND = [
    pytest.param(engine, kind, id=f"{engine}-{kind}")
    for engine, kinds in KINDS.items()
    for kind in kinds
]
"""Parameters `engine` and `kind` of a test; only the async face takes all of them."""


def is_async(kind: str) -> bool:
    """Whether a connection of this kind can only be awaited."""
    return "async" in kind.lower() or "aiosqlite" in kind


@contextmanager
def caller_of(kind: str | Open, url: str, runner: asyncio.Runner | None) -> Iterator[Caller]:
    """Open a connection of a kind; an async one lives on the runner's loop."""

    def wait(awaitable: Any) -> Any:
        async def awaited() -> Any:
            return await awaitable

        assert runner is not None
        return runner.run(awaited())

    kinds = KINDS["sqlite" if url.startswith("sqlite") else "postgres"]
    open_ = kinds[kind] if isinstance(kind, str) else kind
    with contextmanager(open_)(url, wait) as caller:
        try:
            yield caller
        finally:
            caller.close()
