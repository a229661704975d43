"""The database itself, past the app: what it holds, by its own word."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.support.waiting import eventually

TABLES = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relname LIKE 'dibs%' AND relname <> 'dibs_migrations'
"""
EMPTY = """
CREATE FUNCTION pg_temp.empty() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    DROP FUNCTION IF EXISTS refuse CASCADE;
    DROP TABLE IF EXISTS orders;
    {tables}
    PERFORM setval(seqrelid, 1, false) FROM pg_sequence;
END $$
"""
# A few rows are deleted ten times as fast as a table gets new files.
EMPTY_TABLE = """
IF pg_relation_size('{0}') > 100000 THEN TRUNCATE {0}; ELSE DELETE FROM {0}; END IF;
"""


@contextmanager
def emptying(url: str) -> Iterator[Callable[[], object]]:
    """Lend a function that removes from a PostgreSQL database what a test has put there.

    Its statements are planned once: it is used after every test.
    """
    with querying(url) as execute:
        tables = "".join(EMPTY_TABLE.format(name) for (name,) in execute(TABLES))
        execute(EMPTY.format(tables=tables))
        yield lambda: execute("SELECT pg_temp.empty()")


@contextmanager
def querying(url: str) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    """Lend a function that executes one statement and returns its rows; over one connection."""
    if url.startswith("sqlite:"):
        path = url.removeprefix("sqlite:///")
        # The app's gates don't hold this connection back, so it waits for locks itself.
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as file:
            yield lambda sql: file.execute(sql).fetchall()
        return
    with psycopg.connect(url, autocommit=True) as connection:

        def execute(sql: str) -> list[tuple[Any, ...]]:
            cursor = connection.execute(sql)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

        yield execute


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Execute one statement that both engines understand, and return its rows."""
    with querying(url) as execute:
        return execute(sql)


def tables(url: str) -> list[str]:
    """Return the names of all tables of dibs."""
    if url.startswith("sqlite:"):
        sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'dibs_%'"
    else:
        sql = "SELECT tablename FROM pg_tables WHERE tablename LIKE 'dibs_%'"
    return sorted(row[0] for row in query(url, sql))


@contextmanager
def reading(url: str, names: Iterable[str] | None = None) -> Iterator[Callable[[], list[Any]]]:
    """Lend a function that returns every row of the tables of these names, by default of all."""
    names = list(tables(url) if names is None else names)
    with querying(url) as execute:
        if url.startswith("sqlite:"):
            yield lambda: [sorted(map(repr, execute(f"SELECT * FROM {name}"))) for name in names]
        else:  # in one round trip
            each = (f"SELECT '{name}', row::text FROM {name} AS row" for name in names)
            every = " UNION ALL ".join(each)
            yield lambda: sorted(execute(every))


def is_locked(url: str) -> bool:
    """Return whether somebody writes to a SQLite file just now, or is about to."""
    if not url.startswith("sqlite:"):
        return False
    path = Path(url.removeprefix("sqlite:///"))
    try:
        for gate in path.parent.glob(f"{path.name}-gate-*"):
            with gate.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as file:
            file.execute("BEGIN IMMEDIATE")
    except (BlockingIOError, sqlite3.OperationalError):
        return True
    return False


def wait_until_ended(url: str, *, within: float) -> None:
    """Wait until no job is left that has not completed or been cancelled."""
    eventually(
        lambda: query(url, "SELECT COUNT(*) FROM dibs_jobs") == [(0,)],
        "all jobs to end",
        within=within,
        every=0.1,
    )


def wait_until_at_rest(url: str, *, within: float) -> None:
    """Wait until no job is left that waits or runs; dead letters may be."""
    eventually(
        lambda: query(url, "SELECT COUNT(*) FROM dibs_live WHERE state <> 'dead'") == [(0,)],
        "all jobs to end",
        within=within,
        every=0.1,
    )


def misplaced(url: str) -> list[tuple[Any, ...]]:
    """Return the live jobs that don't stand in exactly one place, and places without a job."""
    return query(
        url,
        """
        WITH place (job_id) AS (
            SELECT job_id FROM dibs_scheduled UNION ALL SELECT job_id FROM dibs_blocked
            UNION ALL SELECT job_id FROM dibs_ready UNION ALL SELECT job_id FROM dibs_running
            UNION ALL SELECT job_id FROM dibs_dead
        )
        SELECT id, 'record', COUNT(job_id) FROM dibs_jobs LEFT JOIN place ON job_id = id
        GROUP BY id HAVING COUNT(job_id) <> 1
        UNION ALL
        SELECT job_id, 'place', 0 FROM place LEFT JOIN dibs_jobs ON id = job_id WHERE id IS NULL
        UNION ALL
        SELECT h.id, 'history', COUNT(*) FROM dibs_history AS h LEFT JOIN dibs_jobs AS j
        ON j.id = h.id GROUP BY h.id HAVING COUNT(*) <> 1 OR COUNT(j.id) <> 0
        """,
    )
