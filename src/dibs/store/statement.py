"""Operations: what the queue does to its tables, as generators without I/O.

An operation yields statements and is sent the rows that each brought; what it returns is its
result. It knows no engine, no driver, and neither sync nor async: a runner opens a transaction,
executes each statement by its name, and drives the generator to its end:

    @operation()
    def job_get(job_id: int) -> Steps[Job | None]:
        rows = yield Statement("job_get", {"id": job_id})
        return job_from(rows[0]) if rows else None

    job = store.run(job_get(7))          # or: await store.arun(job_get(7))

An `Operation` can be started any number of times, so a runner may try a transaction again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

Row = tuple[Any, ...]
RowList = list[Row]


@dataclass(frozen=True, slots=True)
class Rows:
    """A parameter that is a table: each engine binds it its own way (arrays, or one JSON text)."""

    columns: tuple[str, ...]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of the catalogue, by name, with its parameters."""

    name: str
    params: Mapping[str, Any]
    alone: bool = False
    """As one of the first statements of an operation: they need no transaction around them. Where
    the engine makes every statement a transaction, no round trips are spent on BEGIN and COMMIT."""


Steps = Generator[Statement, RowList, R]
"""What an operation's body is: statements out, rows in, a result at the end."""


@dataclass(frozen=True, slots=True)
class Operation(Generic[R_co]):
    """A named piece of work for the store, not yet started."""

    name: str
    steps: Callable[[], Generator[Statement, RowList, R_co]]
    """Starts it: a new generator on every call."""
    reads: bool = False
    """Changes nothing; runs beside writers where the engine has one writer at a time."""
    nudges: Callable[[Any], Collection[str]] | None = None
    """From the result: queues whose idle workers a store tells, once it is committed."""
    within: float | None = None
    """Seconds that each answer of a server may take; None leaves it to the store."""


def operation(
    *, reads: bool = False
) -> Callable[[Callable[P, Steps[R]]], Callable[P, Operation[R]]]:
    """Make a generator function return an `Operation` instead of a running generator.

    Args:
        reads: promise that it only reads.
    """

    def decorate(body: Callable[P, Steps[R]]) -> Callable[P, Operation[R]]:
        name = body.__name__

        @functools.wraps(body)
        def start(*args: P.args, **kwargs: P.kwargs) -> Operation[R]:
            return Operation(name, functools.partial(body, *args, **kwargs), reads)

        return start

    return decorate
