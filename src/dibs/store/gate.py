"""Lock files that let writers of one SQLite file queue in the kernel instead of polling.

SQLite's own busy handler sleeps and tries again, so a web request's single write starves for
seconds beside busy workers. Here whoever writes holds gate B for its transaction, and a worker
takes gate A before: workers wait for each other at A, so at most one of them stands at B.

The kernel does not serve those who wait in the order they came: a worker that is running takes a
gate again before a producer that was just woken. So there is a bell: a producer holds it, shared
with others, until it has got through B, and a worker at the head of A lets it ring out first. It
waits no longer than `COURTESY_SECONDS`, or a flood of producers could stop all workers.

Where `flock` is missing, or others write to the file, the store's short jittered retry remains.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

try:
    import fcntl
except ImportError:  # Windows: no flock; the store's retry serves alone
    fcntl = None  # type: ignore[assignment]

SUFFIXES = ("-gate-a", "-gate-b", "-gate-bell")
"""What the lock files beside a database are called, after its name."""

COURTESY_SECONDS = 0.03
"""Longest time a worker stands back for producers before one transaction."""
LISTEN_SECONDS = 0.0005
"""Between two times a worker listens for the bell."""


class Gate:
    """The gates of one database file for one connection; not for use by two threads at once."""

    def __init__(self, database: str, *, worker: bool) -> None:
        """Open the gates of `database`, for a worker or for a producer."""
        self._worker = worker
        self._files: list[int] = []
        if fcntl is not None:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            self._files = [os.open(database + suffix, flags, 0o666) for suffix in SUFFIXES]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold gate B, waiting for it in the kernel, behind gate A or with the bell."""
        if not self._files:
            yield
            return
        a, b, bell = self._files
        with _locked(a) if self._worker else _locked(bell, shared=True):
            if self._worker:
                _stand_back(bell)
            fcntl.flock(b, fcntl.LOCK_EX)
            if not self._worker:
                fcntl.flock(bell, fcntl.LOCK_UN)  # through: the next worker need not wait for us
            try:
                yield
            finally:
                fcntl.flock(b, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the lock files."""
        for file in self._files:
            os.close(file)
        self._files = []


@contextmanager
def _locked(file: int, *, shared: bool = False) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _stand_back(bell: int) -> None:
    """Wait until no producer holds the bell, or courtesy ends."""
    deadline = time.monotonic() + COURTESY_SECONDS
    while time.monotonic() < deadline:
        try:
            fcntl.flock(bell, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LISTEN_SECONDS)
        else:
            fcntl.flock(bell, fcntl.LOCK_UN)
            return
