"""One method, two faces: a plan that returns an operation becomes a sync and an async method.

    class Jobs:
        def _get(self, job_id: int) -> Operation[Job]: ...

        get = sync_face(_get)
        aget = async_face(_get)

Plans check their arguments and do no I/O, so bad input raises before anything is opened.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
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
