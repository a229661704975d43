"""SQLite's errors in words that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from dibs.errors import SchemaError, StoreError, StoreUnavailableError

_DAMAGED = {
    "SQLITE_NOTADB": "the file is not a SQLite database; name another file",
    "SQLITE_CORRUPT": "the database file is damaged; restore it from a backup",
}
_PASSING = {
    "SQLITE_CANTOPEN": "the file cannot be opened; check that its folder exists and is writable",
    "SQLITE_READONLY": "the file is not writable; check its permissions and those of its folder",
    "SQLITE_FULL": "the disk is full; free some space and try again",
    "SQLITE_IOERR": "the disk reported an error",
}
"""What is no fault of an operation: the same one works when somebody has seen to the file."""


def is_locked(error: sqlite3.Error) -> bool:
    """Return whether somebody else holds a lock, so that waiting may help."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) and name != "SQLITE_BUSY_SNAPSHOT"


@contextmanager
def translated(display: str) -> Iterator[None]:
    """Turn SQLite's and the file system's errors into dibs' own, naming the database."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name == "SQLITE_BUSY_SNAPSHOT":
            raise StoreError(
                f"{display}: the transaction began by reading, and another one wrote since; "
                "begin a transaction that will enqueue with BEGIN IMMEDIATE, and try it again"
            ) from error
        if is_locked(error):
            raise StoreUnavailableError(
                f"{display}: another connection keeps the database locked; try again later"
            ) from error
        if "no such table: dibs_" in str(error):
            raise SchemaError(
                f"{display} has no dibs tables; create them with: dibs migrate (or app.migrate())"
            ) from error
        for kind, advices in ((StoreUnavailableError, _PASSING), (StoreError, _DAMAGED)):
            for prefix, advice in advices.items():
                if name.startswith(prefix):
                    raise kind(f"{display}: {advice} ({error})") from error
        raise StoreError(f"{display}: {error}") from error
    except PermissionError as error:
        advice = _PASSING["SQLITE_READONLY"]
        raise StoreUnavailableError(f"{display}: {advice} ({error.filename})") from error
