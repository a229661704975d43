"""The SQLite engine: one file, several processes, one writer at a time.

Every process has one writing connection for each role and one for reading (WAL: readers never
wait). Transactions begin with BEGIN IMMEDIATE behind the gates (`dibs.store.gate`); what others
lock without the gates is waited for with a short jittered retry. Producers commit with
synchronous=FULL, so an acknowledged job survives a power failure; workers with NORMAL, where a
power failure can only repeat a job.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from dibs.errors import ConfigurationError, StoreUnavailableError
from dibs.store import borrowed
from dibs.store.base import Clock, Role, Watch
from dibs.store.catalog import compiled
from dibs.store.closing import Closing
from dibs.store.gate import Gate
from dibs.store.migrate import check_version, schema_migrate, schema_version
from dibs.store.runner import Call, Runner, Script, drive
from dibs.store.sqlite_errors import is_locked, translated
from dibs.store.sqlite_watch import SqliteWatch
from dibs.store.statement import Operation, RowList, Rows
from dibs.store.urls import DatabaseUrl

R = TypeVar("R")

OLDEST_SQLITE = (3, 35)
SYNCHRONOUS = {Role.PRODUCER: "FULL", Role.WORKER: "NORMAL"}
RETRY_SECONDS = (0.0005, 0.01)
"""Shortest and longest pause before asking again for a lock that others hold without the gates."""


def system_clock() -> int:
    """Return this machine's time, which is the database's: the file is on this machine."""
    return time.time_ns() // 1000


def execute(connection: sqlite3.Connection, call: Call) -> RowList:
    """Execute one call; rows are plain tuples, whatever the connection's row factory."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor.execute(call.sql, call.params).fetchall()


def make_script(clock: Clock) -> Script:
    """Return SQLite's script: named parameters, lists and tables as JSON, time as a parameter."""

    def encode(params: Mapping[str, Any]) -> dict[str, Any]:
        bound: dict[str, Any] = {"now": clock()}
        for name, value in params.items():
            if isinstance(value, Rows):
                bound[name] = json.dumps(value.rows)
            else:
                bound[name] = json.dumps(value) if isinstance(value, list) else value
        return bound

    return Script(compiled("sqlite", None, lambda name: f":{name}"), encode)


_inherited: list[object] = []
"""A parent process's connections, kept as they are: closing them here could end its locks."""


class SqliteStore(Closing):
    """One SQLite database, seen from one process."""

    def __init__(
        self, url: DatabaseUrl, role: Role, clock: Clock | None = None, lock_timeout: float = 30.0
    ) -> None:
        """Prepare to use the file; nothing is opened before the first operation."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise ConfigurationError(
                f"SQLite {sqlite3.sqlite_version} is too old; dibs needs 3.35 or newer"
            )
        self.url = url
        self._role = role
        self._clock = clock or system_clock
        self._lock_timeout = lock_timeout
        self._script = make_script(self._clock)
        self._reset()

    def _own(self) -> None:
        """Begin anew in a forked process: it must not use its parent's connections."""
        if self._pid != os.getpid():
            _inherited.extend((self._writing, self._reading))
            if self._gate is not None:
                self._gate.close()  # or it would stay locked if the parent died at it
            self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._current = False
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._gate: Gate | None = None
        self._thread_lock = threading.Lock()
        self._threads: dict[bool, ThreadPoolExecutor] = {}

    # --- Running operations ----------------------------------------------------------------

    def run(self, operation: Operation[R]) -> R:
        """Carry `operation` out in one transaction."""
        self._ensure_current()
        return self._transact(operation)

    async def arun(self, operation: Operation[R]) -> R:
        """Carry `operation` out in a thread of the store's own: one writes, one reads."""
        self._own()
        with self._thread_lock:
            thread = self._threads.get(operation.reads)
            if thread is None:
                thread = ThreadPoolExecutor(1, "dibs-sqlite")
                self._threads[operation.reads] = thread
            done = asyncio.get_running_loop().run_in_executor(thread, self.run, operation)
        return await done

    def _transact(self, operation: Operation[R]) -> R:
        calls = self._script.calls(operation)
        first = next(calls)
        with translated(self.url.display):
            transaction = self._read() if operation.reads else self._write()
            with transaction as connection:
                return drive(calls, first, lambda call: execute(connection, call))

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._write_lock:
            if self._writing is None:
                self._writing = self._open(SYNCHRONOUS[self._role])
                self._gate = Gate(self.url.target, worker=self._role is Role.WORKER)
            assert self._gate is not None  # noqa: S101 - opened together with the connection
            with self._gate.held():
                self._patiently(lambda: self._begin("BEGIN IMMEDIATE"))
                yield from _finish(self._writing)

    def _begin(self, sql: str) -> None:
        assert self._writing is not None  # noqa: S101 - the caller opened it
        self._writing.execute(sql)

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._read_lock:
            if self._reading is None:
                self._reading = self._open("NORMAL")
            self._reading.execute("BEGIN")
            yield from _finish(self._reading)

    def _patiently(self, action: Callable[[], R]) -> R:
        """Do what needs a lock, again and again while somebody without the gates holds it."""
        deadline = time.monotonic() + self._lock_timeout
        while True:
            try:
                return action()
            except sqlite3.OperationalError as error:
                if not is_locked(error):
                    raise
                if time.monotonic() > deadline:
                    raise StoreUnavailableError(
                        f"{self.url.display}: another connection has held the write lock for "
                        f"{self._lock_timeout:g} seconds; end its transaction and try again"
                    ) from error
            time.sleep(random.uniform(*RETRY_SECONDS))

    def _open(self, synchronous: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.url.target,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            self._patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"))
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            connection.close()
            raise
        connection.execute(f"PRAGMA busy_timeout = {round(self._lock_timeout * 1000)}")
        return connection

    # --- Schema ----------------------------------------------------------------------------

    def _ensure_current(self) -> None:
        self._own()
        if self._current:
            return
        version = self._transact(schema_version())
        if not check_version(version, "sqlite", self.url.display):
            self.migrate()
        self._current = True

    def migrate(self) -> list[str]:
        """Create or upgrade the tables; return the names of the migrations that ran."""
        self._own()
        ran = self._transact(schema_migrate("sqlite", self.url.display))
        self._current = True
        return ran

    # --- Callers' connections, nudges ------------------------------------------------------

    def borrow(self, connection: object) -> Runner:
        """Return a runner inside the open transaction of a caller's connection."""
        return borrowed.runner(connection, "sqlite", self._script, self._borrowed_gate)

    @contextmanager
    def _borrowed_gate(self) -> Iterator[None]:
        """Hold the producers' gate while a caller's connection takes its write lock."""
        gate = Gate(self.url.target, worker=False)
        try:
            with gate.held():
                yield
        finally:
            gate.close()

    def nudge(self, queues: Iterable[str]) -> None:
        """Do nothing: watches see every commit by SQLite's own data_version."""

    def watch(self, queues: Iterable[str], on_nudge: Callable[[], None]) -> Watch:
        """Call `on_nudge` from a thread whenever `queues` may have new work."""
        self._ensure_current()
        return SqliteWatch(lambda: self._open("NORMAL"), self._script, list(queues), on_nudge)

    def close(self) -> None:
        """Close the connections, after what is under way; new ones open when used again."""
        self._own()
        with self._thread_lock:
            threads, self._threads = self._threads, {}
        for thread in threads.values():
            thread.shutdown()
        with self._write_lock:
            if self._writing is not None:
                self._writing.close()
                self._writing = None
            if self._gate is not None:
                self._gate.close()
                self._gate = None
        with self._read_lock:
            if self._reading is not None:
                self._reading.close()
                self._reading = None
        self._current = False

    async def aclose(self) -> None:
        """Close the connections; what is under way ends first."""
        await asyncio.get_running_loop().run_in_executor(None, self.close)


def _finish(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Yield inside an open transaction; commit it at the end, or roll it back on an error."""
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
