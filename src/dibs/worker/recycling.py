"""Recycling: a worker that has done enough, or grown too large, makes room for a fresh one.

It stops gracefully, like one that is told to; who runs it starts another: the supervisor, or
`dibs worker` itself, which becomes a new program in the same process.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dibs.errors import ConfigurationError
from dibs.model.sizes import in_megabytes
from dibs.services.base import Service

LOOK_SECONDS = 1.0
"""Between two looks at the memory."""
LEISURE = 3600.0
STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Limits:
    """When a worker has had enough; None for never."""

    jobs: int | None = None
    memory: int | None = None
    """Bytes of resident memory."""
    leaked: int = 10


def resident() -> int:
    """Return the bytes of memory that this process has; without `/proc`, the most it ever had."""
    try:
        return int(STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


class Recycling(Service):
    """Watches the limits; has the worker stop when one is reached."""

    name = "recycling"

    def __init__(self, limits: Limits, recycle: Callable[[str], None]) -> None:
        """Watch `limits`, and call `recycle` with a reason, perhaps more than once.

        Raises:
            ConfigurationError: the memory is beyond its limit before any job ran.
        """
        super().__init__()
        self._limits = limits
        self._recycle = recycle
        self.counts = limits.jobs is not None or limits.memory is not None
        """Whether it has to be told of every job that ended."""
        self._jobs = 0
        if limits.memory is not None and (now := resident()) >= limits.memory:
            raise ConfigurationError(
                f"max_memory={in_megabytes(limits.memory)}: this process has "
                f"{in_megabytes(now)} before it runs any job; allow more"
            )

    def ended(self) -> None:
        """Count a job that ended."""
        self._jobs += 1
        if self._jobs == self._limits.jobs:
            self._recycle(f"it has run {self._jobs} jobs")

    def leaked(self, count: int) -> None:
        """Look at how many handlers the worker has left behind."""
        if count >= self._limits.leaked:
            self._recycle(f"it has left {count} handlers behind that do not end")

    async def tick(self) -> float:
        """Look at the memory."""
        if self._limits.memory is None:
            return LEISURE
        if self._jobs and (now := resident()) >= self._limits.memory:
            self._recycle(f"it has grown to {in_megabytes(now)}")
        return LOOK_SECONDS
