"""What goes on below the app: the statements of all drivers, and the database itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest

REFUSE_POISON = {
    "sqlite": """
        CREATE TRIGGER refuse BEFORE INSERT ON dibs_jobs WHEN NEW.kind = 'poison'
        BEGIN SELECT RAISE(ABORT, 'poison refused'); END
    """,
    "postgresql": """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'poison refused'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON dibs_jobs FOR EACH ROW
        WHEN (NEW.kind = 'poison') EXECUTE FUNCTION refuse()
    """,
}
"""Make the database refuse jobs of one kind."""


def sqlite_path(url: str) -> str:
    return url.removeprefix("sqlite:///")


def raw(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Execute a statement past the app; `refuse_poison` makes the database refuse that kind."""
    scheme = url.partition(":")[0]
    sql = REFUSE_POISON[scheme] if statement == "refuse_poison" else statement
    if scheme == "sqlite":
        with closing(sqlite3.connect(sqlite_path(url), isolation_level=None)) as file:
            return file.execute(sql).fetchall()
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


def record_statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that every statement is added to, whichever driver and face executes it."""
    statements: list[str] = []
    connect = sqlite3.connect

    def traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    for cursor in (psycopg.Cursor, psycopg.AsyncCursor):
        monkeypatch.setattr(cursor, "execute", _recorded(cursor.execute, statements))
    return statements


def _recorded(execute: Callable[..., Any], statements: list[str]) -> Callable[..., Any]:
    def recorded(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        statements.append(str(query))
        return execute(cursor, query, *args, **kwargs)

    return recorded


def count_connections(url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return a function that counts: those PostgreSQL serves, or those SQLite opened from now."""
    if url.startswith("sqlite"):
        opened: list[str] = []
        connect = sqlite3.connect

        def counted(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            opened.append(str(args))
            return connect(*args, **kwargs)

        monkeypatch.setattr(sqlite3, "connect", counted)
        return lambda: len(opened)
    server, _, name = url.rpartition("/")
    query = f"""
        SELECT COUNT(*) FROM pg_stat_activity
        WHERE datname = '{name}' AND backend_type = 'client backend'
    """
    return lambda: raw(f"{server}/postgres", query)[0][0]
