"""psycopg's part of the PostgreSQL engine: connections and their settings, errors in words."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import psycopg
from psycopg.types.string import TextLoader
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolClosed, PoolTimeout

from dibs.errors import SchemaError, StoreError, StoreUnavailableError
from dibs.store.base import Role
from dibs.store.postgres_connect import (
    CONNECT_SECONDS,
    AsyncConnection,
    Connection,
    NoAnswer,
    connect,
    options,
)
from dibs.store.postgres_nudge import Listener, Nudger

LOOK_SECONDS = 30.0
"""What each statement of a connection that only looks may take."""
POOL_SIZE = {Role.PRODUCER: 10, Role.WORKER: 4}

ANSWER_SECONDS = {Role.PRODUCER: 60.0, Role.WORKER: 30.0}
"""How long a connection waits for an answer, where an operation does not say."""

IDLE_SECONDS = 10
"""How long a worker's transaction may wait for its next statement."""

WORKER_SETTINGS = (
    # The claim is compiled by JIT for 200 ms at every execution where costs are overestimated.
    "SET jit = off",
    # Plans made while a table was empty, or before it was analyzed, would read it whole; by its
    # index every table is read only where the statement says, and in the order it says.
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    "SET enable_mergejoin = off",
    # Where one row is expected and a hundred come, a loop compares ten thousand pairs.
    "SET enable_nestloop = off",
    # The same plan for all parameters is a good one for each (tests/plans), and is made once.
    "SET plan_cache_mode = force_generic_plan",
    # A forgotten lock must end in an error that the loops recover from, and that says more than
    # that no answer came.
    "SET statement_timeout = '25s'",
    "SET lock_timeout = '20s'",
    # One that vanished in the middle of a transaction must not keep what it locked: the server
    # would notice after two hours, and meanwhile nobody could claim, settle or rescue those jobs.
    f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'",
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)

PRODUCER_SETTINGS = (
    # Another's uncommitted unique key must not be waited for until it seems that no answer comes.
    "SELECT set_config('lock_timeout', '50s', false) WHERE current_setting('lock_timeout') = '0'",
)
SETTINGS = {Role.PRODUCER: PRODUCER_SETTINGS, Role.WORKER: WORKER_SETTINGS}
"""What each connection executes first, by whose it is."""

Conflict = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
"""Errors after which the same transaction may well succeed."""

__all__ = [
    "ANSWER_SECONDS", "Conflict", "Listener", "NoAnswer", "Nudger", "PoolClosed",
    "connect_once", "connect_to_look", "gave_up", "make_async_pool", "no_gate", "open_pool",
    "translated",
]  # fmt: skip


def no_gate() -> AbstractContextManager[None]:
    """Return a context that holds nothing: writers don't queue here."""
    return nullcontext()


@contextmanager
def connect_once(target: str, role: Role) -> Iterator[Connection]:
    """Lend a connection like those of the pool, but its own: what is wrong is told at once.

    A pool tries again and again, and says only that it had no connection in time.
    """
    with connect(target, f"dibs-{role.value}") as connection:
        _prepare(connection, role)
        connection.execute(_settings(role))
        yield connection


@contextmanager
def connect_to_look(target: str) -> Iterator[psycopg.Connection[Any]]:
    """Lend a connection for a moment, in a transaction that may only read."""
    with connect(target, "dibs-doctor", answer_within=LOOK_SECONDS) as connection:
        connection.execute(f"SET statement_timeout = '{LOOK_SECONDS:g}s'")
        with connection.transaction():
            connection.execute("SET TRANSACTION READ ONLY")
            yield connection


def _check(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Refuse an idle connection that the server has closed, without a round trip.

    An idle connection has nothing to read, unless its end or a notice has arrived; or one after
    the other, as when the server was shut down.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    while poll.poll(0):
        connection.pgconn.consume_input()  # raises OperationalError at the end of the stream


def _prepare(connection: Connection | AsyncConnection, role: Role) -> None:
    connection.answer_within = ANSWER_SECONDS[role]
    connection.adapters.register_loader("json", TextLoader)


def _settings(role: Role) -> str:
    """Return all that a connection executes first as one query: one round trip instead of ten."""
    return "; ".join(SETTINGS[role])


def _growth(pool: ConnectionPool[Any] | AsyncConnectionPool[Any], role: Role) -> Iterator[int]:
    """Yield what a pool with its first connection has to hold at least: as many as are waited for.

    And then one, so that they may go when they are not needed.
    """
    if pool.max_size == 1:
        yield max(1, min(pool.get_stats()["requests_waiting"], POOL_SIZE[role]))
        yield 1


def open_pool(target: str, role: Role) -> Any:
    """Return an open pool for the sync face."""

    def configure(connection: Connection) -> None:
        _prepare(connection, role)
        connection.execute(_settings(role))
        for least in _growth(pool, role):
            pool.resize(least, POOL_SIZE[role])

    def check(connection: Connection) -> None:
        try:
            _check(connection)
        except psycopg.Error:
            pool.drain()  # the others have ended too; for each, psycopg would wait longer
            raise

    pool = ConnectionPool(
        configure=configure,
        check=check,
        open=True,
        connection_class=Connection,
        **_options(target, role),
    )
    return pool


def make_async_pool(target: str, role: Role) -> Any:
    """Return a pool for the async face, still to be opened on its loop."""

    async def configure(connection: AsyncConnection) -> None:
        _prepare(connection, role)
        await connection.execute(_settings(role))
        for least in _growth(pool, role):
            await pool.resize(least, POOL_SIZE[role])

    async def check(connection: AsyncConnection) -> None:
        try:
            _check(connection)
        except psycopg.Error:
            await pool.drain()  # the others have ended too; for each, psycopg would wait longer
            raise

    pool = _AsyncPool(
        configure=configure,
        check=check,
        open=False,
        connection_class=AsyncConnection,
        **_options(target, role),
    )
    return pool


class _AsyncPool(AsyncConnectionPool[AsyncConnection]):
    """Lets its event loop end where an app was left open.

    The pool's own workers swallow a cancellation that meets them at work, and `asyncio.run` would
    wait for them for ever.
    """

    @classmethod
    async def worker(cls, q: Any) -> None:
        """Carry out what the pool has to do, until told to stop."""
        await super().worker(_Cancellable(q))  # type: ignore[arg-type]


class _Cancellable:
    """A queue that hands nothing to a task that is being cancelled."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    async def get(self) -> Any:
        """Return the next entry."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        return await self._queue.get()


def _options(target: str, role: Role) -> dict[str, Any]:
    return {
        "min_size": 1,
        "max_size": 1,  # until the first is there; a pool would open a second for who waits for it
        "timeout": CONNECT_SECONDS,
        "reconnect_timeout": 5,
        "kwargs": options(target, f"dibs-{role.value}"),
    }


@contextmanager
def translated(display: str) -> Iterator[None]:
    """Turn psycopg's errors into dibs' own, naming the database."""
    try:
        yield
    except Conflict:
        raise
    except psycopg.errors.UndefinedTable as error:
        raise SchemaError(
            f"{display} has no dibs tables; create them with: dibs migrate (or app.migrate())"
        ) from error
    except psycopg.errors.LockNotAvailable as error:
        raise StoreUnavailableError(
            f"{display}: another transaction kept a row or table locked for too long "
            f"({_reason(error)}); end it (pg_stat_activity lists it) and try again"
        ) from error
    except psycopg.errors.QueryCanceled as error:
        raise StoreUnavailableError(
            f"{display}: the server ended a statement before it was done ({_reason(error)}); "
            "try again, and see whether a statement_timeout is too short or the server too busy"
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
        raise StoreUnavailableError(
            f"{display} cannot be reached: {_reason(error)}; "
            "check the URL and that the server is running"
        ) from error
    except psycopg.Error as error:
        raise StoreError(f"{display}: {error}") from error


def gave_up(display: str, tries: int, error: psycopg.Error) -> StoreUnavailableError:
    """Return what is raised after the last of several tries that met a `Conflict`."""
    return StoreUnavailableError(
        f"{display}: {tries} times in a row other transactions were in the way "
        f"({_reason(error)}); try again"
    )


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
