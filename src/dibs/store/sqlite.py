"""The SQLite engine: one file, several processes, one writer at a time.

Every process has one writing connection for each role and one for reading (WAL: readers never
wait). Transactions begin with BEGIN IMMEDIATE behind the gates (`dibs.store.gate`); what others
lock without the gates is waited for with a short jittered retry. Producers commit with
synchronous=FULL, so an acknowledged job survives a power failure; workers with NORMAL, where a
power failure can only repeat a job.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TypeVar

from dibs.errors import ConfigurationError, StoreUnavailableError
from dibs.model.lines import Serving
from dibs.store import borrowed
from dibs.store.base import Clock, Role, Watch
from dibs.store.closing import Closing
from dibs.store.gate import Gate
from dibs.store.migrate import check_version, schema_migrate, schema_version
from dibs.store.runner import Runner, drive
from dibs.store.sqlite_connection import Opened, connect_to_look, execute, finish, identity
from dibs.store.sqlite_errors import is_locked, translated
from dibs.store.sqlite_script import make_script, system_clock
from dibs.store.sqlite_watch import SqliteWatch
from dibs.store.statement import Operation
from dibs.store.urls import DatabaseUrl

R = TypeVar("R")

OLDEST_SQLITE = (3, 35)
SYNCHRONOUS = {Role.PRODUCER: "FULL", Role.WORKER: "NORMAL"}
CHECKPOINT_EVERY = 64
"""Transactions of a worker between two checkpoints."""
RETRY_SECONDS = (0.0005, 0.01)
"""Shortest and longest pause before asking again for a lock that others hold without the gates."""


_inherited: list[object] = []
"""Connections that must not be closed: of a parent process, whose locks that could end, or of a
file that was replaced."""


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
        self._writing: Opened | None = None
        self._reading: Opened | None = None
        self._gate: Gate | None = None
        self._commits = 0
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
        with translated(self.url.display):
            transaction = self._read() if operation.reads else self._write()
            with transaction as connection:
                # Started with the lock held, for it reads the clock: what is committed later has a
                # later time, also where the clock is set while somebody waits for the lock.
                first = next(calls)
                return drive(calls, first, lambda call: execute(connection, call))

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._write_lock:
            self._writing = self._unless_replaced(self._writing)
            if self._writing is None:
                self._writing = self._open(SYNCHRONOUS[self._role])
                self._gate = Gate(self.url.target, worker=self._role is Role.WORKER)
            assert self._gate is not None  # noqa: S101 - opened together with the connection
            connection = self._writing.connection
            with self._gate.held():
                self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
                yield from finish(connection)
            self._checkpoint_at_times(connection)

    def _checkpoint_at_times(self, connection: sqlite3.Connection) -> None:
        """Move a worker's commits from the log to the file, when the gates are open again.

        SQLite would do it within a commit, and everybody would wait for the disk at the gates.
        """
        self._commits += 1
        if self._role is Role.WORKER and self._commits % CHECKPOINT_EVERY == 0:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._read_lock:
            self._reading = self._unless_replaced(self._reading)
            if self._reading is None:
                self._reading = self._open("NORMAL")
            self._reading.connection.execute("BEGIN")
            yield from finish(self._reading.connection)

    def _unless_replaced(self, opened: Opened | None) -> Opened | None:
        """Refuse to go on with a file that is gone: what it acknowledged, nobody would find.

        Raises:
            StoreUnavailableError: once; the next operation opens the file that is there then.
        """
        if opened is None or opened.file == identity(self.url.target):
            return opened
        self._current = False
        # Left open: closing it would remove the -wal and -shm files of the new database.
        _inherited.append(opened)
        if opened is self._writing:
            self._writing = None
        else:
            self._reading = None
        raise StoreUnavailableError(
            f"{self.url.display}: the file was deleted or replaced while it was in use; "
            "the next operation opens the one that is there then"
        )

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

    def _open(self, synchronous: str) -> Opened:
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
            if self._role is Role.WORKER:
                connection.execute("PRAGMA wal_autocheckpoint = 0")
        except BaseException:
            connection.close()
            raise
        connection.execute(f"PRAGMA busy_timeout = {round(self._lock_timeout * 1000)}")
        return Opened(connection, identity(self.url.target))

    def examine(self, operation: Operation[R]) -> R:
        """Carry a reading `operation` out in tables of whatever version, and change nothing."""
        if identity(self.url.target) is None:
            raise StoreUnavailableError(
                f"{self.url.display}: there is no such file; the first use makes it, in a folder "
                "that exists"
            )
        calls = self._script.calls(operation)
        first = next(calls)
        with translated(self.url.display), closing(connect_to_look(self.url.target)) as connection:
            connection.execute("BEGIN")
            return drive(calls, first, lambda call: execute(connection, call))

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

    def watch(self, serving: Serving, on_nudge: Callable[[], None]) -> Watch:
        """Call `on_nudge` from a thread whenever the lines of `serving` may have new work."""
        self._ensure_current()
        return SqliteWatch(lambda: self._open("NORMAL").connection, self._script, serving, on_nudge)

    def close(self) -> None:
        """Close the connections, after what is under way; new ones open when used again."""
        self._own()
        with self._thread_lock:
            threads, self._threads = self._threads, {}
        for thread in threads.values():
            thread.shutdown()
        with self._write_lock:
            if self._writing is not None:
                self._writing.connection.close()
                self._writing = None
            if self._gate is not None:
                self._gate.close()
                self._gate = None
        with self._read_lock:
            if self._reading is not None:
                self._reading.connection.close()
                self._reading = None
        self._current = False

    async def aclose(self) -> None:
        """Close the connections; what is under way ends first."""
        await asyncio.get_running_loop().run_in_executor(None, self.close)
