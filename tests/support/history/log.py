"""The log: what a process tells, one line per event, in a file of its own.

Every call is one write to a file opened with O_APPEND, so a process that is killed leaves whole
lines; at most what it did last is missing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

# By its own name: whoever shifts the clocks of a process leaves those of its log alone.
from time import monotonic_ns as now

from tests.support.history.events import Event, What
from tests.support.recorder import entries, whole_lines

__all__ = ["Log", "now", "read"]

HANDLERS = {"start": What.BEGAN, "end": What.LEFT}


class Log:
    """Writes events to a file of this process in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[int, int] = {}

    def tell(self, events: Iterable[Event]) -> None:
        text = "".join(f"{json.dumps(event)}\n" for event in events)
        if text:
            os.write(self._file(), text.encode())

    def fault(self, what: What = What.FAULT, worker: str = "", to: str = "") -> None:
        """Tell of something that was done to the system just now."""
        at = now()
        self.tell([Event(what, at, at, worker=worker, to=to)])

    def _file(self) -> int:
        pid = os.getpid()
        if pid not in self._files:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._files[pid] = os.open(self._folder / f"{pid}.events", flags, 0o644)
        return self._files[pid]


def read(folder: Path) -> list[Event]:
    """Return what all processes told, and what all handlers wrote down."""
    found = [
        Event(What(what), *rest)
        for path in folder.glob("*.events")
        for what, *rest in map(json.loads, whole_lines(path))
    ]
    found += [
        Event(HANDLERS[e.event], e.at, e.at, job=e.job_id, attempt=e.attempt, worker=e.worker)
        for e in entries(folder)
    ]
    return found
