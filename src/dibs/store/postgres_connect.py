"""Connecting to PostgreSQL: options that every connection of dibs has, and waits that end.

A server that vanishes without a word is noticed by the operating system (keepalives). One that
stays connected and says nothing, or a proxy that swallows what it is given, is not: for those
every wait for an answer has a limit of dibs' own.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict

RV = TypeVar("RV")

CONNECT_SECONDS = 10
CANCEL_SECONDS = 2.0
"""How long a server that does not answer is asked to give the statement up."""

DEFAULTS: Mapping[str, str | int] = {
    "connect_timeout": CONNECT_SECONDS,
    # A peer that vanished without a word is noticed within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    # After a failover the first of several hosts, or the one behind a name, may be a standby: a
    # connection to it would be kept, and be of no use.
    "target_session_attrs": "read-write",
}
"""Parameters of libpq, where the URL does not say otherwise."""


def options(target: str, application_name: str) -> dict[str, Any]:
    """Return the arguments of `connect` for a URL: what it says, and dibs' defaults.

    Raises:
        psycopg.ProgrammingError: libpq does not understand the URL.
    """
    said = conninfo_to_dict(target)
    return {**DEFAULTS, **said, "application_name": application_name, "autocommit": True}


class NoAnswer(psycopg.OperationalError):
    """The server said nothing for too long; the connection is closed."""


def _limited(gen: PQGen[RV], seconds: float | None) -> PQGen[RV]:
    """Do what `gen` does, and end it when nothing has come for too long."""
    end = None if seconds is None else time.monotonic() + seconds
    ready: Any = None
    while True:
        try:
            wanted = gen.send(ready)
        except StopIteration as done:
            result: RV = done.value
            return result
        ready = yield wanted
        # Nothing has come; psycopg looks every tenth of a second.
        if not ready and end is not None and time.monotonic() > end:
            raise NoAnswer(f"no answer within {seconds:g} s")


class Connection(psycopg.Connection[Any]):
    """Waits for each answer only so long, then closes itself and raises `NoAnswer`."""

    answer_within: float | None = None
    """Seconds for each round trip; None waits for ever."""

    def wait(self, gen: PQGen[RV], *args: Any, **more: Any) -> RV:
        """Carry out one exchange with the server."""
        try:
            return super().wait(_limited(gen, self.answer_within), *args, **more)
        except NoAnswer:
            if psycopg.capabilities.has_cancel_safe():  # the older way may wait for ever itself
                with contextlib.suppress(psycopg.Error):
                    self.cancel_safe(timeout=CANCEL_SECONDS)
            self.pgconn.finish()
            raise


class AsyncConnection(psycopg.AsyncConnection[Any]):
    """The same for asyncio; a cancelled wait ends too, however deaf the server is."""

    answer_within: float | None = None
    """Seconds for each round trip; None waits for ever."""

    async def wait(self, gen: PQGen[RV], *args: Any, **more: Any) -> RV:
        """Carry out one exchange with the server."""
        try:
            return await super().wait(_limited(gen, self.answer_within), *args, **more)
        except NoAnswer:
            if psycopg.capabilities.has_cancel_safe():
                with contextlib.suppress(psycopg.Error):
                    await self.cancel_safe(timeout=CANCEL_SECONDS)
            self.pgconn.finish()
            raise


def connect(
    target: str, application_name: str, *, answer_within: float | None = None
) -> Connection:
    """Return a connection that commits every statement by itself."""
    connection = Connection.connect(**options(target, application_name))
    connection.answer_within = answer_within
    return connection
