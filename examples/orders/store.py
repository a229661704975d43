"""The shop's own tables, in the same database as its jobs: SQLite or PostgreSQL, by $DIBS_URL.

Every effect of a job is a row here, and none is kept unique: an order that was confirmed twice
has two rows in `confirmations`. That is what the demo counts.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

URL = os.environ.get("DIBS_URL") or "sqlite:///orders.db"
ON_SQLITE = URL.startswith("sqlite:")
if not ON_SQLITE:
    from psycopg_pool import ConnectionPool

    POOL = ConnectionPool(URL, min_size=1, max_size=10, open=False)

ID = "INTEGER PRIMARY KEY" if ON_SQLITE else "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
TABLES = f"""
CREATE TABLE IF NOT EXISTS orders (
    id {ID}, email text NOT NULL, sku text NOT NULL,
    quantity integer NOT NULL, cents integer NOT NULL
);
CREATE TABLE IF NOT EXISTS order_jobs (order_id bigint NOT NULL, job_id bigint NOT NULL);
CREATE TABLE IF NOT EXISTS confirmations (
    order_id bigint NOT NULL, email text NOT NULL, sent_at text NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS invoices (order_id bigint NOT NULL, file text NOT NULL);
CREATE TABLE IF NOT EXISTS inventory (
    order_id bigint NOT NULL, sku text NOT NULL, change integer NOT NULL
);
"""


@dataclass(frozen=True)
class Order:
    id: int
    email: str
    sku: str
    quantity: int
    cents: int


@contextmanager
def connected() -> Iterator[Any]:
    """A connection that commits at the end, or rolls back where an error is raised."""
    if not ON_SQLITE:
        POOL.open()  # does nothing where it is open
        with POOL.connection() as connection:
            yield connection
        return
    path = unquote(URL.removeprefix("sqlite:///"))
    # timeout: wait for others who write, up to 30 seconds, instead of failing at once.
    # isolation_level=None: transactions begin where `transaction` says so, not by themselves.
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection, connection:
        yield connection


@contextmanager
def transaction() -> Iterator[Any]:
    """Everything that is done inside is done together, or not at all."""
    with connected() as connection:
        if ON_SQLITE:  # one writer at a time: ask for the turn first, not halfway through
            connection.execute("BEGIN IMMEDIATE")
        yield connection


def execute(connection: Any, sql: str, *values: Any) -> Any:
    return connection.execute(sql if ON_SQLITE else sql.replace("?", "%s"), values)


def query(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with connected() as connection:
        return execute(connection, sql, *values).fetchall()


def create_tables() -> None:
    with transaction() as connection:
        for statement in filter(str.strip, TABLES.split(";")):
            connection.execute(statement)


# --- Orders -------------------------------------------------------------------------------


def add_order(connection: Any, email: str, sku: str, quantity: int, cents: int) -> int:
    sql = "INSERT INTO orders (email, sku, quantity, cents) VALUES (?, ?, ?, ?) RETURNING id"
    return execute(connection, sql, email, sku, quantity, cents).fetchone()[0]


def link_job(connection: Any, order_id: int, job_id: int) -> None:
    execute(connection, "INSERT INTO order_jobs VALUES (?, ?)", order_id, job_id)


def find_order(order_id: int) -> Order | None:
    rows = query("SELECT id, email, sku, quantity, cents FROM orders WHERE id = ?", order_id)
    return Order(*rows[0]) if rows else None


def job_ids(order_id: int) -> list[int]:
    sql = "SELECT job_id FROM order_jobs WHERE order_id = ? ORDER BY job_id"
    return [row[0] for row in query(sql, order_id)]


def sales() -> tuple[int, int]:
    """How many orders there are, and what they brought, in cents."""
    return query("SELECT COUNT(*), COALESCE(SUM(cents), 0) FROM orders")[0]


# --- What jobs did ------------------------------------------------------------------------


def add_confirmation(order_id: int, email: str) -> None:
    with transaction() as connection:
        sql = "INSERT INTO confirmations (order_id, email) VALUES (?, ?)"
        execute(connection, sql, order_id, email)


def add_invoice(order_id: int, file: str) -> None:
    with transaction() as connection:
        execute(connection, "INSERT INTO invoices VALUES (?, ?)", order_id, file)


def add_stock_change(order_id: int, sku: str, change: int) -> None:
    with transaction() as connection:
        execute(connection, "INSERT INTO inventory VALUES (?, ?, ?)", order_id, sku, change)


def effects(order_id: int) -> dict[str, list[Any]]:
    """What was done for an order: to whom it was confirmed, its invoices, its stock changes."""
    columns = {"confirmations": "email", "invoices": "file", "inventory": "change"}
    return {
        table: [row[0] for row in query(f"SELECT {what} FROM {table} WHERE order_id = ?", order_id)]
        for table, what in columns.items()
    }
