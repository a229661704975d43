"""What PostgreSQL does for a statement of the catalogue, on a connection as workers have them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg

from dibs.store.postgres_script import make_script
from dibs.store.statement import Statement

SCRIPT = make_script(None)


class Scan(NamedTuple):
    """One node of a plan that reads a table, and what it did in all its loops."""

    how: str
    table: str
    alias: str
    rows: float
    loops: float


class Prepared:
    """A worker's connection with the catalogue's statements prepared under their names."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._order: dict[str, list[str]] = {}
        connection.execute("SET statement_timeout = '10s'")  # only ends a failure

    def prepare(self, name: str) -> None:
        [step] = SCRIPT.catalog[name]
        order = self._order[name] = sorted(step.params)
        sql = re.sub(r"%\((\w+)\)s", lambda hit: f"${order.index(hit[1]) + 1}", step.sql)
        self._connection.execute(f"PREPARE {name} AS {sql}")  # type: ignore[arg-type]

    def plan_for(self, parameters: str) -> None:
        self._connection.execute(f"SET plan_cache_mode = force_{parameters}_plan")  # type: ignore[arg-type]

    def explain(self, statement: Statement) -> dict[str, Any]:
        """Execute `statement`, undo it, and return its plan with what happened in each node."""
        params = SCRIPT.encode(statement.params)
        values = [params[name] for name in self._order[statement.name]]
        call = f"EXECUTE {statement.name}"
        call += f"({', '.join(['%s'] * len(values))})" if values else ""
        with self._connection.transaction(force_rollback=True):
            cursor = psycopg.ClientCursor(self._connection)
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {call}"
            cursor.execute(explain, values)  # type: ignore[arg-type]
            [[text]] = cursor.fetchall()
        return json.loads(text)[0]["Plan"]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def scans(plan: dict[str, Any]) -> list[Scan]:
    found = []
    for node in nodes(plan):
        if node["Node Type"].endswith("Scan") and "Relation Name" in node:
            loops = node["Actual Loops"]
            read = node["Actual Rows"] + sum(
                node.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck")
            )
            found.append(
                Scan(node["Node Type"], node["Relation Name"], node["Alias"], read * loops, loops)
            )
    return found


def compared(plan: dict[str, Any]) -> float:
    """Return how many pairs of rows were compared in joins, and did not match."""
    return sum(
        node.get("Rows Removed by Join Filter", 0) * node["Actual Loops"] for node in nodes(plan)
    )


def buffers(plan: dict[str, Any]) -> int:
    # A node that changes rows counts for itself, beside the root.
    return max(node["Shared Hit Blocks"] + node["Shared Read Blocks"] for node in nodes(plan))
