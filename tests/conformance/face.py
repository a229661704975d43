"""One way to write a case for both faces: methods run as they are, or through their a… twins.

`face.enqueue(…)` calls `app.enqueue(…)`, or awaits `app.aenqueue(…)` on the face's own event
loop; so do `face.jobs.get(…)` and `face.handler(function).using(…).enqueue(…)`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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

    def rows(self) -> tuple[int, int]:
        """How many jobs there are by their records, and by the places they stand in."""
        return len(self.jobs.list(limit=10_000)), sum(self.stats().states.values())

    def close(self) -> None:
        """Close the app, and the loop if there is one."""
        if self.runner is None:
            self.target.close()
            return
        self.wait(self.target.aclose())
        self.runner.close()


def open_face(url: str, mode: str, **options: Any) -> Face:
    """Return a face of a new app: `mode` is "sync" or "async"."""
    return Face(Dibs(url, **options), asyncio.Runner() if mode == "async" else None)
