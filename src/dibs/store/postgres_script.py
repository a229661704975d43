"""How PostgreSQL spells statements: psycopg's placeholders, arrays, and the database's clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dibs.store.base import Clock
from dibs.store.catalog import compiled
from dibs.store.runner import Script
from dibs.store.statement import Rows

NOW = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint"
"""The database's time, the same throughout a statement and newer in the next one."""


def encode(params: Mapping[str, Any]) -> dict[str, Any]:
    """Bind tables as one array per column, and integer arrays as text.

    psycopg would choose the array's type by the size of its numbers, and so prepare a statement
    several times; as text the cast in the statement decides.
    """
    bound: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, Rows):
            for place, column in enumerate(value.columns):
                bound[f"{name}_{column}"] = _array([row[place] for row in value.rows])
        else:
            bound[name] = _array(value) if isinstance(value, list) else value
    return bound


def _array(values: list[Any]) -> Any:
    if any(isinstance(value, str) for value in values):
        return values
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"


def make_script(clock: Clock | None) -> Script:
    """Return PostgreSQL's script; with a `clock` its time is bound instead of the database's."""
    if clock is None:
        return Script(compiled("postgres", NOW, _placeholder), encode)

    def encode_with_time(params: Mapping[str, Any]) -> dict[str, Any]:
        return {"now": clock(), **encode(params)}

    return Script(compiled("postgres", None, _placeholder), encode_with_time)


def _placeholder(name: str) -> str:
    return f"%({name})s"
