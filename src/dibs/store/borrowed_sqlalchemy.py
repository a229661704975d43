"""Callers' SQLAlchemy connections and sessions: one runner for every driver below them.

`text()` speaks each driver's placeholders, and `run_sync` gives the async classes the sync face.
"""

from __future__ import annotations

import functools
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from dibs.errors import ConfigurationError, StoreError
from dibs.store import sqlite_errors
from dibs.store.borrowed import THEIRS
from dibs.store.runner import Call, GateFactory, Script, drive
from dibs.store.statement import Operation, RowList, Rows
from dibs.store.urls import Engine

R = TypeVar("R")

SYNC = (Connection, Session, scoped_session)
ASYNC = (AsyncConnection, AsyncSession, async_scoped_session)

_DIALECTS = {"sqlite": "sqlite", "postgres": "postgresql"}
_PYFORMAT = re.compile(r"%\((\w+)\)s")


@functools.lru_cache(maxsize=256)
def _text(sql: str) -> Any:
    """Return a statement of either engine's script for any driver.

    Placeholders stand in parentheses: text() takes `:name::type` for no placeholder at all.
    """
    return text(_PYFORMAT.sub(r"(:\1)", sql))


def _with_lists(script: Script) -> Script:
    """Return PostgreSQL's script with lists as they are: asyncpg takes no arrays as text."""

    def encode(params: Mapping[str, Any]) -> dict[str, Any]:
        bound = script.encode({})  # the time, where a clock gives it
        for name, value in params.items():
            if isinstance(value, Rows):
                for place, column in enumerate(value.columns):
                    bound[f"{name}_{column}"] = [row[place] for row in value.rows]
            else:
                bound[name] = value
        return bound

    return Script(script.catalog, encode)


class SqlAlchemyRunner:
    """A caller's SQLAlchemy `Connection`, `Session` or `scoped_session`."""

    def __init__(self, source: Any, engine: Engine, script: Script, gate: GateFactory) -> None:
        """Use `source`, waiting at `gate` for SQLite's write lock."""
        self._source = source
        self._engine = engine
        self._script = _with_lists(script) if engine == "postgres" else script
        self._gate = gate

    def run(self, operation: Operation[R]) -> R:
        """Carry `operation` out in the caller's transaction."""
        return self._run_on(self._source, operation)

    async def arun(self, operation: Operation[R]) -> R:
        """Carry `operation` out in the caller's transaction, on the loop's own thread."""
        return self.run(operation)

    def _run_on(self, source: Any, operation: Operation[R]) -> R:
        connection: Connection = source if isinstance(source, Connection) else source.connection()
        theirs = connection.dialect.name
        if theirs != _DIALECTS[self._engine]:
            raise ConfigurationError(
                f"the connection is {theirs}, but the app's database URL is {self._engine}; "
                "a job can only join a transaction of its own database"
            )
        calls = self._script.calls(operation)
        first = next(calls)

        def execute(call: Call) -> RowList:
            result = connection.execute(_text(call.sql), call.params)
            return [tuple(row) for row in result] if result.returns_rows else []

        with _translated(), self._transaction(connection, first):
            return drive(calls, first, execute)

    @contextmanager
    def _transaction(self, connection: Connection, first: Call) -> Iterator[None]:
        """Join the open transaction, or begin one; end it only where the caller can't."""
        if not connection.in_transaction():
            connection.begin()  # as any statement would; a listener may begin the database's then
        sqlite = self._engine == "sqlite"
        commits = not _in_transaction(connection) and _commits_by_itself(connection)
        # A driver begins by itself with whatever comes first, but sqlite3 not with a savepoint.
        if _in_transaction(connection) or not (commits or sqlite):
            with nullcontext() if first.alone else connection.begin_nested():
                yield
            return
        with self._gate():
            connection.exec_driver_sql("BEGIN IMMEDIATE" if sqlite else "BEGIN")
        try:
            yield
            if commits:
                connection.exec_driver_sql("COMMIT")
        except BaseException:
            if _in_transaction(connection):  # SQLite may have ended it, as for a full disk
                connection.exec_driver_sql("ROLLBACK")
            raise


class AsyncSqlAlchemyRunner(SqlAlchemyRunner):
    """A caller's SQLAlchemy `AsyncConnection`, `AsyncSession` or `async_scoped_session`."""

    def __init__(self, source: Any, engine: Engine, script: Script, gate: GateFactory) -> None:
        """Use `source`; the gate would block the loop that has to run for it to be left again."""
        super().__init__(source, engine, script, gate)
        self._gate = nullcontext
        if isinstance(source, async_scoped_session):
            self._source = source()

    def run(self, operation: Operation[R]) -> R:
        """Refuse: an async connection can't be used without awaiting."""
        raise ConfigurationError(
            f"{operation.name}: this connection is async; await the a… twin, for example aenqueue"
        )

    async def arun(self, operation: Operation[R]) -> R:
        """Carry `operation` out in the caller's transaction."""
        result: R = await self._source.run_sync(self._run_on, operation)
        return result


def _in_transaction(connection: Connection) -> bool:
    """Return whether the database, not just SQLAlchemy, has begun a transaction."""
    driver: Any = connection.connection.driver_connection
    if hasattr(driver, "in_transaction"):  # sqlite3, aiosqlite
        return bool(driver.in_transaction)
    if hasattr(driver, "is_in_transaction"):  # asyncpg
        return bool(driver.is_in_transaction())
    return bool(driver.info.transaction_status)  # psycopg and psycopg2: 0 is idle


def _commits_by_itself(connection: Connection) -> bool:
    """Return whether every statement would be committed, so that nobody could roll it back."""
    detect: Any = getattr(connection.dialect, "detect_autocommit_setting", None)
    if detect is not None:  # SQLAlchemy 2.0.38
        return bool(detect(connection.connection.dbapi_connection))
    return connection.get_isolation_level() == "AUTOCOMMIT"


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the drivers' errors, as SQLAlchemy wraps them, into dibs' own."""
    try:
        yield
    except DBAPIError as error:
        cause: Any = error.orig
        if isinstance(cause, sqlite3.Error):
            with sqlite_errors.translated(THEIRS):
                raise cause from error
        state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
        if state is None:
            raise StoreError(f"{THEIRS}: {cause}") from error
        from psycopg.errors import lookup

        from dibs.store import postgres_driver

        with postgres_driver.translated(THEIRS):
            kind = lookup(state)
            if issubclass(kind, postgres_driver.Conflict):
                raise  # the caller's transaction failed: its own error, for its own retries
            raise kind(str(cause)) from error
