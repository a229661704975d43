"""Callers' SQLAlchemy connections and sessions: one runner for every driver below them.

`text()` speaks each driver's placeholders, and `run_sync` gives the async classes the sync face.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from dibs.errors import ConfigurationError
from dibs.store.catalog import compiled
from dibs.store.runner import Call, GateFactory, Script, drive, first_behind
from dibs.store.statement import Operation, RowList, Rows
from dibs.store.urls import Engine

R = TypeVar("R")


def _script(engine: Engine) -> Script:
    if engine == "sqlite":
        from dibs.store.sqlite import make_script, system_clock

        return make_script(system_clock)
    from dibs.store.postgres_script import NOW

    def encode(params: Mapping[str, Any]) -> dict[str, Any]:
        bound: dict[str, Any] = {}
        for name, value in params.items():
            if isinstance(value, Rows):
                columns = zip(*value.rows, strict=True)
                bound |= {
                    f"{name}_{c}": list(v) for c, v in zip(value.columns, columns, strict=True)
                }
            else:
                bound[name] = value
        return bound

    return Script(compiled("postgres", NOW, lambda name: f":{name}"), encode)


class SqlAlchemyRunner:
    """A caller's SQLAlchemy `Connection`, `Session` or `scoped_session`."""

    def __init__(self, source: Any, engine: Engine, gate: GateFactory) -> None:
        """Use `source`, waiting at `gate` for SQLite's write lock."""
        self._source = source
        self._engine = engine
        self._gate = gate

    def run(self, operation: Operation[R]) -> R:
        """Carry `operation` out in the caller's transaction."""
        return self._run_on(self._source, operation)

    async def arun(self, operation: Operation[R]) -> R:
        """Carry `operation` out in the caller's transaction, on the loop's own thread."""
        return self.run(operation)

    def _run_on(self, source: Any, operation: Operation[R]) -> R:
        from sqlalchemy import text
        from sqlalchemy.engine import Connection

        connection = source if isinstance(source, Connection) else source.connection()
        theirs = connection.dialect.name
        if theirs != {"sqlite": "sqlite", "postgres": "postgresql"}[self._engine]:
            raise ConfigurationError(
                f"the connection is {theirs}, but the app's database URL is {self._engine}; "
                "a job can only join a transaction of its own database"
            )

        def execute(call: Call) -> RowList:
            result = connection.execute(text(call.sql), call.params)
            return [tuple(row) for row in result] if result.returns_rows else []

        calls = _script(self._engine).calls(operation)
        first = next(calls)
        return drive(calls, first, first_behind(self._gate, execute))


class AsyncSqlAlchemyRunner(SqlAlchemyRunner):
    """A caller's SQLAlchemy `AsyncConnection`, `AsyncSession` or `async_scoped_session`."""

    def run(self, operation: Operation[R]) -> R:
        """Refuse: an async connection can't be used without awaiting."""
        raise ConfigurationError(
            f"{operation.name}: this connection is async; await the a… twin, for example aenqueue"
        )

    async def arun(self, operation: Operation[R]) -> R:
        """Carry `operation` out in the caller's transaction."""
        result: R = await self._source.run_sync(self._run_on, operation)
        return result
