"""A connection to a SQLite file: which file it has, one call on it, the end of a transaction."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dibs.store.runner import Call
from dibs.store.statement import RowList

LOOK_SECONDS = 5.0
"""How long a connection that only looks waits for locks."""


class Opened(NamedTuple):
    """A connection, and the file that it was opened on."""

    connection: sqlite3.Connection
    file: tuple[int, int] | None


def identity(path: str) -> tuple[int, int] | None:
    """Return what tells a file from every other one, or None where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def connect_to_look(path: str) -> sqlite3.Connection:
    """Open a file that is there, for reading alone."""
    return sqlite3.connect(
        f"{Path(path).as_uri()}?mode=ro", uri=True, timeout=LOOK_SECONDS, isolation_level=None
    )


def execute(connection: sqlite3.Connection, call: Call) -> RowList:
    """Execute one call; rows are plain tuples, whatever the connection's row factory."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor.execute(call.sql, call.params).fetchall()


def finish(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Yield inside an open transaction; commit it at the end, or roll it back on an error."""
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
