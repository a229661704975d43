"""The PostgreSQL engine, through psycopg 3: many processes on many machines.

A pool of connections for each face; every connection commits by itself, so that an operation of
one statement is one round trip. The connections of workers run nothing but dibs' own statements
and are set up for those.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from dibs.errors import MissingDependencyError, SchemaError
from dibs.model.lines import Serving
from dibs.store import borrowed
from dibs.store.base import Clock, Role, Watch
from dibs.store.closing import Closing
from dibs.store.migrate import check_version, newest, schema_migrate, schema_version
from dibs.store.postgres_script import make_script
from dibs.store.runner import Call, Runner, adrive, drive
from dibs.store.statement import Operation, RowList
from dibs.store.urls import DatabaseUrl

try:
    from dibs.store import postgres_driver as driver
except ImportError as error:  # psycopg or its pool is not installed
    raise MissingDependencyError("psycopg", "postgres", "a postgresql:// URL") from error

R = TypeVar("R")
Lend = Callable[[], AbstractContextManager[Any]]

TRIES = 3
"""How often a transaction is tried that lost a deadlock or a serialization conflict."""


class PostgresStore(Closing):
    """One PostgreSQL database, seen from one process."""

    def __init__(self, url: DatabaseUrl, role: Role, clock: Clock | None = None) -> None:
        """Prepare to use the database; nothing is opened before the first operation."""
        self.url = url
        self._role = role
        self._script = make_script(clock)
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._current = False
        self._lock = threading.Lock()
        self._pool: Any = None
        self._apools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = (
            weakref.WeakKeyDictionary()
        )
        self._nudger: driver.Nudger | None = None

    # --- Running operations ----------------------------------------------------------------

    def run(self, operation: Operation[R]) -> R:
        """Carry `operation` out in one transaction."""
        self._ensure_current()
        result = self._insist(operation, self._connection)
        self._nudge_after(operation, result)
        return result

    def _insist(self, operation: Operation[R], lend: Lend) -> R:
        for _ in range(TRIES):
            try:
                return self._transact(operation, lend)
            except driver.Conflict as error:
                conflict = error
        raise driver.gave_up(self.url.display, TRIES, conflict) from conflict

    def _transact(self, operation: Operation[R], lend: Lend) -> R:
        calls = self._script.calls(operation)
        first = next(calls)
        prepare = _prepare(operation)
        with driver.translated(self.url.display), lend() as connection:
            connection.answer_within = self._within(operation)

            def execute(call: Call) -> RowList:
                cursor = connection.execute(call.sql, call.params or None, prepare=prepare)
                return cursor.fetchall() if cursor.description else []

            return drive(calls, first, execute, connection.transaction)

    async def arun(self, operation: Operation[R]) -> R:
        """Carry `operation` out in one transaction, on a connection of the running loop."""
        if not self._current or self._pid != os.getpid():
            await asyncio.to_thread(self._ensure_current)
        result = await self._ainsist(operation)
        self._nudge_after(operation, result)
        return result

    async def _ainsist(self, operation: Operation[R]) -> R:
        for _ in range(TRIES):
            try:
                return await self._atransact(operation)
            except driver.Conflict as error:
                conflict = error
        raise driver.gave_up(self.url.display, TRIES, conflict) from conflict

    async def _atransact(self, operation: Operation[R]) -> R:
        calls = self._script.calls(operation)
        first = next(calls)
        prepare = _prepare(operation)
        pool = await self._async_pool()
        with driver.translated(self.url.display):
            async with pool.connection() as connection:
                connection.answer_within = self._within(operation)

                async def execute(call: Call) -> RowList:
                    cursor = await connection.execute(
                        call.sql, call.params or None, prepare=prepare
                    )
                    return await cursor.fetchall() if cursor.description else []

                try:
                    return await adrive(calls, first, execute, connection.transaction)
                except driver.NoAnswer:
                    await pool.drain()  # the others may be as deaf, each for as long
                    raise

    def _within(self, operation: Operation[Any]) -> float:
        within = operation.within
        return driver.ANSWER_SECONDS[self._role] if within is None else within

    # --- Connections -----------------------------------------------------------------------

    def _connect(self) -> AbstractContextManager[Any]:
        """Lend a connection made for the moment, which fails at once where there can be none."""
        return driver.connect_once(self.url.target, self._role)

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """Lend a connection; if another thread closes the pool just now, one of the next."""
        with ExitStack() as stack:
            while True:
                try:
                    connection = stack.enter_context(self._sync_pool().connection())
                except driver.PoolClosed:
                    continue
                break
            try:
                yield connection
            except driver.NoAnswer:
                self._sync_pool().drain()  # the others may be as deaf, each for as long
                raise

    def _sync_pool(self) -> Any:
        with self._lock:
            if self._pool is None:
                self._pool = driver.open_pool(self.url.target, self._role)
            return self._pool

    async def _async_pool(self) -> Any:
        loop = asyncio.get_running_loop()
        pool = self._apools.get(loop)
        if pool is None:
            pool = self._apools[loop] = driver.make_async_pool(self.url.target, self._role)
            await pool.open()
        return pool

    # --- Schema ----------------------------------------------------------------------------

    def _ensure_current(self) -> None:
        if self._pid != os.getpid():
            self._reset()  # a fork must not use its parent's connections
        if self._current:
            return
        version = self._insist(schema_version(), self._connect)
        if not check_version(version, "postgres", self.url.display):
            state = "no dibs tables" if version == 0 else f"tables of version {version}"
            raise SchemaError(
                f"{self.url.display} has {state}; this dibs needs version {newest('postgres')}: "
                "run dibs migrate (or app.migrate())"
            )
        self._current = True

    def examine(self, operation: Operation[R]) -> R:
        """Carry a reading `operation` out in tables of whatever version, and change nothing."""
        calls = self._script.calls(operation)
        first = next(calls)
        with driver.translated(self.url.display), driver.connect_to_look(self.url.target) as look:

            def execute(call: Call) -> RowList:
                return look.execute(call.sql, call.params or None).fetchall()

            return drive(calls, first, execute)

    def migrate(self) -> list[str]:
        """Create or upgrade the tables; return the names of the migrations that ran."""
        # Twenty processes may stand in line for it, and large tables take their time.
        migrate = replace(schema_migrate("postgres", self.url.display), within=math.inf)
        ran = self._insist(migrate, self._connect)
        self._current = True
        return ran

    # --- Callers' connections, nudges ------------------------------------------------------

    def borrow(self, connection: object) -> Runner:
        """Return a runner inside the open transaction of a caller's connection."""
        return borrowed.runner(connection, "postgres", self._script, driver.no_gate)

    def _nudge_after(self, operation: Operation[R], result: R) -> None:
        if operation.nudges:
            self.nudge(operation.nudges(result))

    def nudge(self, queues: Iterable[str]) -> None:
        """Tell idle workers that `queues` have new work; a thread sends it, coalesced."""
        if not (told := frozenset(queues)):
            return
        with self._lock:
            if self._nudger is None:
                self._nudger = driver.Nudger(self.url.target)
            self._nudger.add(told)

    def watch(self, serving: Serving, on_nudge: Callable[[], None]) -> Watch:
        """Call `on_nudge` from a thread whenever the queues of `serving` were nudged."""
        return driver.Listener(self.url.target, frozenset(serving.queues), on_nudge)

    def close(self) -> None:
        """Close the connections of the sync face; the store opens new ones when used again."""
        if self._pid != os.getpid():
            return
        with self._lock:
            nudger, self._nudger = self._nudger, None
            pool, self._pool = self._pool, None
            self._current = False
        if nudger is not None:
            nudger.close()
        if pool is not None:
            pool.close()

    async def aclose(self) -> None:
        """Close the connections of the running loop and of the sync face."""
        pool = self._apools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.close()
        await asyncio.to_thread(self.close)


def _prepare(operation: Operation[Any]) -> bool | None:
    """Return whether psycopg may prepare an operation's statements; None leaves it to psycopg.

    Reads join many tables: a plan that was best while those were empty would be kept, and read
    them whole when they are full. Writes are written so that no plan can.
    """
    return False if operation.reads else None
