"""The app that the benchmark's workers run: a handler that does nothing, and one that notes when.

Workers find it as `dibs.bench.handlers:app`, with the database from `$DIBS_URL`.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from dibs.app import Dibs
from dibs.client.handler import Handler

QUEUE = "bench"

started: dict[int, int] = {}
"""When each `pickup` of this process started, in nanoseconds since 1970, by its number."""


async def noop(n: int) -> None:
    """Do nothing."""


async def pickup(n: int) -> None:
    """Note when number `n` started."""
    started[n] = time.time_ns()


@dataclass(frozen=True)
class Handlers:
    """An app with the benchmark's handlers."""

    app: Dibs
    noop: Handler[[int], Coroutine[Any, Any, None]]
    pickup: Handler[[int], Coroutine[Any, Any, None]]


def make_handlers(url: str | None = None) -> Handlers:
    """Declare the handlers on a database."""
    own = Dibs(url)
    return Handlers(own, own.job(queue=QUEUE)(noop), own.job(queue=QUEUE)(pickup))


app = make_handlers().app
