"""One way to write a case for both faces: methods run as they are, or through their a… twins.

`face.enqueue(…)` calls `app.enqueue(…)`, or awaits `app.aenqueue(…)` on the face's own event
loop; so do `face.jobs.get(…)` and `face.handler(function).using(…).enqueue(…)`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from dibs import Dibs

TWINS = ("aenqueue", "aget")
"""What has one of these has two faces, and is passed on as a `Face`."""


class Face:
    """An app, handler or desk whose methods are called in one of the two modes."""

    def __init__(self, target: Any, runner: asyncio.Runner | None) -> None:
        self.target = target
        self.runner = runner

    def __getattr__(self, name: str) -> Any:
        twin = getattr(self.target, f"a{name}", None) if self.runner else None
        if twin is not None:
            return lambda *args, **kwargs: self.wait(twin(*args, **kwargs))
        return self._wrap(getattr(self.target, name))

    def _wrap(self, value: Any) -> Any:
        if any(hasattr(type(value), twin) for twin in TWINS):
            return Face(value, self.runner)
        if callable(value) and not isinstance(value, type):
            return lambda *args, **kwargs: self._wrap(value(*args, **kwargs))
        return value

    def wait(self, awaitable: Any) -> Any:
        """Run an awaitable to its end on the face's loop."""
        assert self.runner is not None

        async def awaited() -> Any:
            return await awaitable

        return self.runner.run(awaited())

    def handler(self, function: Callable[..., Any], **options: Any) -> Any:
        """Declare a handler, to be enqueued through this face."""
        return self._wrap(self.target.job(**options)(function))

    def work(self, **options: Any) -> None:
        """Have a worker run what can start now, and what comes of it, until nothing is due."""
        worker = self.target.worker(poll=0.01, **options)
        if self.runner is None:
            worker.run(until_idle=True)
        else:
            self.wait(worker.arun(until_idle=True))

    def rows(self) -> tuple[int, int]:
        """How many jobs there are by their records, and by the places they stand in."""
        return len(self.jobs.list(limit=10_000)), sum(self.stats().states.values())

    def close(self) -> None:
        """Close the app, as its users would: a task of the loop, or the thread itself."""
        self.target.close() if self.runner is None else self.wait(self.target.aclose())


@contextmanager
def faces(mode: str) -> Iterator[Callable[..., Face]]:
    """Make faces of new apps, "sync" or "async" ones that share a loop; close them at the end."""
    with ExitStack() as closing:
        runner = closing.enter_context(asyncio.Runner()) if mode == "async" else None

        def make(url: str, **options: Any) -> Face:
            face = Face(Dibs(url, **options), runner)
            closing.callback(face.close)
            return face

        yield make
