"""Run operations inside a transaction that the caller has open on a connection of its own.

Understood are connections of sqlite3, aiosqlite and psycopg (sync and async), and connections
and sessions of SQLAlchemy (sync and async). The transaction stays the caller's: dibs neither
commits it nor rolls it back, and opens no connection. An operation of several statements has a
savepoint around it: where it raises, the transaction is as it was, and the caller may go on. Where
the caller's connection commits every statement by itself, the operation gets a transaction of its
own on it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Any, NamedTuple, TypeVar

from dibs.errors import ConfigurationError
from dibs.store.runner import Call, GateFactory, Runner, Script, adrive, drive
from dibs.store.sqlite_errors import translated as sqlite_translated
from dibs.store.statement import Operation, RowList
from dibs.store.urls import Engine

R = TypeVar("R")

THEIRS = "the connection's database"
"""How errors name the database of a caller's connection."""


class SyncOnly:
    """A runner over a sync connection: its async face works too, without a thread.

    The caller's connection may belong to the running thread, and the work is one short insert
    in a transaction that is open anyway.
    """

    def run(self, operation: Operation[R]) -> R:
        """Carry `operation` out in the caller's transaction."""
        raise NotImplementedError

    async def arun(self, operation: Operation[R]) -> R:
        """Carry `operation` out in the caller's transaction, on the loop's own thread."""
        return self.run(operation)


class AsyncOnly:
    """A runner over an async connection: its sync face can only refuse."""

    def run(self, operation: Operation[R]) -> R:
        """Refuse: an async connection can't be used without awaiting."""
        raise ConfigurationError(
            f"{operation.name}: this connection is async; await the a… twin, for example aenqueue"
        )


class SqliteRunner(SyncOnly):
    """A caller's `sqlite3.Connection`."""

    def __init__(self, connection: sqlite3.Connection, script: Script, gate: GateFactory) -> None:
        """Use `connection`, waiting at `gate` for the write lock."""
        self._connection = connection
        self._script = script
        self._gate = gate

    def run(self, operation: Operation[R]) -> R:
        """Carry `operation` out in the caller's transaction; begin one where none is open."""
        calls = self._script.calls(operation)
        first = next(calls)
        with sqlite_translated(THEIRS), self._transaction(first):
            return drive(calls, first, self._execute)

    @contextmanager
    def _transaction(self, first: Call) -> Iterator[None]:
        """Join the open transaction, or begin one, which waits at the gate.

        An open one does not: it may hold the write lock already, which whoever is at the gate
        waits for.
        """
        around = _around(self._connection, first)
        with nullcontext() if self._connection.in_transaction else self._gate():
            for sql in around.begin:
                self._connection.execute(sql)
        try:
            yield
            for sql in around.end:
                self._connection.execute(sql)
        except BaseException:
            for sql in around.undo if self._connection.in_transaction else ():
                self._connection.execute(sql)
            raise

    def _execute(self, call: Call) -> RowList:
        cursor = self._connection.cursor()
        cursor.row_factory = None
        return cursor.execute(call.sql, call.params).fetchall()


class _Around(NamedTuple):
    """What is executed around the statements of an operation on a caller's SQLite connection."""

    begin: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    """Where one raises, unless SQLite has ended the transaction, as it may on a full disk."""


def _around(connection: Any, first: Call) -> _Around:
    """Return what joins the open transaction, or begins one that ends only if nobody else can."""
    if not connection.in_transaction:
        end = ("COMMIT",) if commits_by_itself(connection) else ()
        return _Around(("BEGIN IMMEDIATE",), end, ("ROLLBACK",))
    if first.alone:
        return _Around()
    release = "RELEASE dibs"
    return _Around(("SAVEPOINT dibs",), (release,), ("ROLLBACK TO dibs", release))


def commits_by_itself(connection: Any) -> bool:
    """Return whether an sqlite3 connection is in autocommit mode, so that nobody would commit."""
    if getattr(connection, "autocommit", None) is True:  # Python 3.12's own attribute
        return True
    return connection.isolation_level is None


class AiosqliteRunner(AsyncOnly):
    """A caller's `aiosqlite.Connection`."""

    def __init__(self, connection: Any, script: Script) -> None:
        """Use `connection`."""
        self._connection = connection
        self._script = script

    async def arun(self, operation: Operation[R]) -> R:
        """Carry `operation` out in the caller's transaction; begin one where none is open."""
        calls = self._script.calls(operation)
        first = next(calls)
        with sqlite_translated(THEIRS):
            async with self._transaction(first):
                return await adrive(calls, first, self._execute)

    @asynccontextmanager
    async def _transaction(self, first: Call) -> AsyncIterator[None]:
        """Like the sync one, but without the gate, which would block the event loop."""
        around = _around(self._connection, first)
        for sql in around.begin:
            await self._connection.execute(sql)
        try:
            yield
            for sql in around.end:
                await self._connection.execute(sql)
        except BaseException:
            for sql in around.undo if self._connection.in_transaction else ():
                await self._connection.execute(sql)
            raise

    async def _execute(self, call: Call) -> RowList:
        async with self._connection.cursor() as cursor:
            cursor.row_factory = None
            await cursor.execute(call.sql, call.params)
            return list(await cursor.fetchall())


def runner(connection: Any, engine: Engine, script: Script, gate: GateFactory) -> Runner:
    """Return the runner for a caller's connection.

    Raises:
        ConfigurationError: of another engine than the app's, or of an unknown driver.
    """
    modules = _modules(connection)
    if "sqlalchemy" in modules:
        from dibs.store import borrowed_sqlalchemy as alchemy

        if isinstance(connection, alchemy.SYNC):
            return alchemy.SqlAlchemyRunner(connection, engine, script, gate)
        if isinstance(connection, alchemy.ASYNC):
            return alchemy.AsyncSqlAlchemyRunner(connection, engine, script, gate)
    elif isinstance(connection, sqlite3.Connection):
        _check_engine("sqlite", engine)
        return SqliteRunner(connection, script, gate)
    elif "aiosqlite" in modules:
        import aiosqlite

        if isinstance(connection, aiosqlite.Connection):
            _check_engine("sqlite", engine)
            return AiosqliteRunner(connection, script)
    elif "psycopg" in modules:
        import psycopg

        from dibs.store import borrowed_psycopg as psy

        if isinstance(connection, psycopg.Connection):
            _check_engine("postgres", engine)
            return psy.PsycopgRunner(connection, script)
        if isinstance(connection, psycopg.AsyncConnection):
            _check_engine("postgres", engine)
            return psy.AsyncPsycopgRunner(connection, script)
    raise ConfigurationError(
        f"connection={connection!r}: expected a connection of sqlite3, aiosqlite or psycopg, "
        "or a connection or session of SQLAlchemy"
    )


def require_transaction(connection: Any) -> None:
    """Refuse a connection that would commit the next statement by itself.

    Raises:
        ConfigurationError: it is in autocommit mode, and no transaction is open.
    """
    modules = _modules(connection)
    if "psycopg" in modules:
        from psycopg.pq import TransactionStatus

        idle = connection.info.transaction_status is TransactionStatus.IDLE
        alone = connection.autocommit and idle
    elif modules & {"sqlite3", "aiosqlite"}:
        alone = commits_by_itself(connection) and not connection.in_transaction
    else:
        alone = connection is None
    if alone:
        raise ConfigurationError(
            f"connection={connection!r}: expected one with a transaction open, so that what you "
            "write and this are committed together; begin one first"
        )


def in_transaction(connection: Any) -> bool:
    """Return whether a caller's connection has a transaction open, be it a failed one."""
    modules = _modules(connection)
    if "psycopg" in modules:
        from psycopg.pq import TransactionStatus

        return connection.info.transaction_status is not TransactionStatus.IDLE
    if modules & {"sqlite3", "aiosqlite"}:
        return bool(connection.in_transaction)
    # A scoped session of SQLAlchemy passes on less than the session that it stands for.
    found = connection if hasattr(connection, "in_transaction") else connection.registry()
    return bool(found.in_transaction())


def _modules(connection: Any) -> set[str]:
    """Return the packages of a connection's classes: only drivers in use need be imported."""
    return {base.__module__.partition(".")[0] for base in type(connection).__mro__}


def _check_engine(theirs: Engine, ours: Engine) -> None:
    if theirs != ours:
        raise ConfigurationError(
            f"the connection is {theirs}, but the app's database URL is {ours}; "
            "a job can only join a transaction of its own database"
        )
