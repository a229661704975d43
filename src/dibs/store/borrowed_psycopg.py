"""Callers' psycopg connections, sync and async.

psycopg tells what an operation of several statements needs: in an open transaction a savepoint, and
one of its own on a connection that commits by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from dibs.store.borrowed import THEIRS, AsyncOnly, SyncOnly
from dibs.store.postgres_driver import translated
from dibs.store.runner import Call, Script, adrive, drive
from dibs.store.statement import Operation, RowList

R = TypeVar("R")


class PsycopgRunner(SyncOnly):
    """A caller's `psycopg.Connection`."""

    def __init__(self, connection: psycopg.Connection[Any], script: Script) -> None:
        """Use `connection`."""
        self._connection = connection
        self._script = script

    def run(self, operation: Operation[R]) -> R:
        """Carry `operation` out in the caller's transaction, or in one of its own."""
        calls = self._script.calls(operation)
        first = next(calls)
        with translated(THEIRS), self._transaction(first):
            return drive(calls, first, self._execute)

    @contextmanager
    def _transaction(self, first: Call) -> Iterator[None]:
        """Join the open transaction, or let the first statement begin the caller's."""
        if first.alone:
            yield
        elif _begins_with_a_statement(self._connection):
            try:
                yield
            except BaseException:
                self._connection.rollback()  # nothing else is in it
                raise
        else:
            with self._connection.transaction():
                yield

    def _execute(self, call: Call) -> RowList:
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(call.sql, call.params or None)
            return cursor.fetchall() if cursor.description else []


class AsyncPsycopgRunner(AsyncOnly):
    """A caller's `psycopg.AsyncConnection`."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], script: Script) -> None:
        """Use `connection`."""
        self._connection = connection
        self._script = script

    async def arun(self, operation: Operation[R]) -> R:
        """Carry `operation` out in the caller's transaction, or in one of its own."""
        calls = self._script.calls(operation)
        first = next(calls)
        with translated(THEIRS):
            async with self._transaction(first):
                return await adrive(calls, first, self._execute)

    @asynccontextmanager
    async def _transaction(self, first: Call) -> AsyncIterator[None]:
        """Like the sync one."""
        if first.alone:
            yield
        elif _begins_with_a_statement(self._connection):
            try:
                yield
            except BaseException:
                await self._connection.rollback()
                raise
        else:
            async with self._connection.transaction():
                yield

    async def _execute(self, call: Call) -> RowList:
        async with self._connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(call.sql, call.params or None)
            return await cursor.fetchall() if cursor.description else []


def _begins_with_a_statement(connection: Any) -> bool:
    """Return whether the next statement begins the caller's transaction.

    `connection.transaction()` would begin one there too, and commit it.
    """
    idle = connection.info.transaction_status is TransactionStatus.IDLE
    return idle and not connection.autocommit
