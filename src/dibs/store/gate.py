"""Two lock files that let writers of one SQLite file queue in the kernel instead of polling.

SQLite's own busy handler sleeps and tries again, so a web request's single write starves for
seconds beside busy workers. Here a worker takes gate A, then gate B, then begins its
transaction; a producer takes only gate B. So at most one worker ever stands before a producer,
and whoever waits is woken by the kernel. Where `flock` is missing, or others write to the file,
the store's short jittered retry remains.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

try:
    import fcntl
except ImportError:  # Windows: no flock; the store's retry serves alone
    fcntl = None  # type: ignore[assignment]


class Gate:
    """The gates of one database file for one connection; not for use by two threads at once."""

    def __init__(self, database: str, *, both: bool) -> None:
        """Open the gates of `database`: `both` for workers, only B for producers."""
        names = ("a", "b") if both else ("b",)
        self._files: list[int] = []
        if fcntl is not None:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            self._files = [os.open(f"{database}-gate-{name}", flags, 0o666) for name in names]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the gates, waiting for them in the kernel."""
        held = []
        try:
            for file in self._files:
                fcntl.flock(file, fcntl.LOCK_EX)
                held.append(file)
            yield
        finally:
            for file in reversed(held):
                fcntl.flock(file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the lock files."""
        for file in self._files:
            os.close(file)
        self._files = []
