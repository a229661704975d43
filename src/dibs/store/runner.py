"""Carry operations out: from statements by name to calls of a driver, for sync and async alike.

`Script.calls` flattens an operation into driver calls; `drive` and `adrive` are the only two
loops that make them. Opening the transaction around them is the engine's part.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    nullcontext,
)
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from dibs.store.catalog import Catalog
from dibs.store.statement import Operation, RowList

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Call:
    """One SQL text for a driver, with just the parameters that it uses."""

    sql: str
    params: dict[str, Any]
    alone: bool = False
    """No transaction is needed around it, unless one was before it."""


Calls = Generator[Call, RowList, R]
Encode = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Turn the parameters of an operation into values that the driver can bind."""


class Runner(Protocol):
    """Whatever can carry an operation out: a store, or a caller's own connection."""

    def run(self, operation: Operation[R]) -> R:
        """Carry `operation` out in one transaction and return its result."""
        ...

    async def arun(self, operation: Operation[R]) -> R:
        """Carry `operation` out in one transaction and return its result."""
        ...


@dataclass(frozen=True, slots=True)
class Script:
    """How an engine spells statements: its catalogue, and how it binds parameters."""

    catalog: Catalog
    encode: Encode

    def calls(self, operation: Operation[R]) -> Calls[R]:
        """Start an operation: yield its driver calls, be sent their rows, return its result."""
        operation_steps = operation.steps()
        rows: RowList | None = None
        while True:
            try:
                statement = next(operation_steps) if rows is None else operation_steps.send(rows)
            except StopIteration as done:
                result: R = done.value
                return result
            params = self.encode(statement.params)
            for step in self.catalog[statement.name]:
                used = {name: params[name] for name in step.params}
                rows = yield Call(step.sql, used, statement.alone)
                if step.keep:
                    kept = self.encode({step.keep: [row[0] for row in rows]})
                    params = kept | params  # the time stays that of the first step


def drive(
    calls: Calls[R],
    first: Call,
    execute: Callable[[Call], RowList],
    begin: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> R:
    """Make the calls of a started operation, from its `first`, and return its result.

    `begin` makes the transaction that is around the first call which needs one, and all after it.
    """
    call, begun = first, False
    with ExitStack() as transaction:
        while True:
            if not (begun or call.alone):
                transaction.enter_context(begin())
                begun = True
            rows = execute(call)
            try:
                call = calls.send(rows)
            except StopIteration as done:
                result: R = done.value
                return result


GateFactory = Callable[[], AbstractContextManager[None]]
"""Makes what has to be held while a transaction takes its write lock."""


async def adrive(
    calls: Calls[R],
    first: Call,
    execute: Callable[[Call], Awaitable[RowList]],
    begin: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
) -> R:
    """Make the calls of a started operation on an async driver and return its result."""
    call, begun = first, False
    async with AsyncExitStack() as transaction:
        while True:
            if not (begun or call.alone):
                await transaction.enter_async_context(begin())
                begun = True
            rows = await execute(call)
            try:
                call = calls.send(rows)
            except StopIteration as done:
                result: R = done.value
                return result
