"""One method, two faces: a plan that returns an operation becomes a sync and an async method.

    class Jobs:
        def _get(self, job_id: int) -> Operation[Job]: ...

        get = sync_face(_get)
        aget = async_face(_get)

Plans check their arguments and do no I/O, so bad input raises before anything is opened.

What takes several transactions is a generator of operations, each of which is one: it is sent their
results, and `sync_batches` and `async_batches` make its two faces.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from dibs.store.runner import Runner
from dibs.store.statement import Operation


class HasRunner(Protocol):
    """Knows where its operations run."""

    @property
    def _runner(self) -> Runner: ...


S = TypeVar("S", bound=HasRunner)
P = ParamSpec("P")
R = TypeVar("R")

Batches = Generator[Operation[Any], Any, R]
"""Operations out, their results in, a result of its own at the end."""


def sync_face(
    plan: Callable[Concatenate[S, P], Operation[R]],
) -> Callable[Concatenate[S, P], R]:
    """Return the method that carries out what `plan` returns."""

    @functools.wraps(plan)
    def face(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._runner.run(plan(self, *args, **kwargs))

    face.__name__ = plan.__name__.removeprefix("_")
    return face


def async_face(
    plan: Callable[Concatenate[S, P], Operation[R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Return the coroutine method that carries out what `plan` returns."""

    @functools.wraps(plan)
    async def face(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._runner.arun(plan(self, *args, **kwargs))

    face.__name__ = f"a{plan.__name__.removeprefix('_')}"
    return face


def sync_batches(
    plan: Callable[Concatenate[S, P], Batches[R]],
) -> Callable[Concatenate[S, P], R]:
    """Return the method that carries out, one after the other, what `plan` yields."""

    @functools.wraps(plan)
    def face(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        batches = plan(self, *args, **kwargs)
        answer: Any = None
        while True:
            try:
                batch = batches.send(answer)
            except StopIteration as done:
                result: R = done.value
                return result
            answer = self._runner.run(batch)

    face.__name__ = plan.__name__.removeprefix("_")
    return face


def async_batches(
    plan: Callable[Concatenate[S, P], Batches[R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Return the coroutine method that carries out, one after the other, what `plan` yields."""

    @functools.wraps(plan)
    async def face(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        batches = plan(self, *args, **kwargs)
        answer: Any = None
        while True:
            try:
                batch = batches.send(answer)
            except StopIteration as done:
                result: R = done.value
                return result
            answer = await self._runner.arun(batch)

    face.__name__ = f"a{plan.__name__.removeprefix('_')}"
    return face
