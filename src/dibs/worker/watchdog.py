"""The last resort: end a worker process that can neither reach its database nor end by itself.

A worker that gives up ends as it does on a signal. It cannot where a handler blocks the event loop,
or where a call to the database or the file system never returns: nothing in Python can break that
off. A supervisor sees only a process that lives. So a thread that does nothing else ends the
process, as far as the system is concerned in the middle of whatever it does; what the database
was told before is safe, and the jobs are rescued like those of a killed worker.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dibs.telemetry import log_event
from dibs.worker.heartbeat import Heartbeat

logger = logging.getLogger("dibs.worker")

LAST_RESORT_SECONDS = 30.0
"""What a worker that gives up has to end by itself."""


@contextmanager
def watchdog(limit: float | None, heartbeat: Callable[[], Heartbeat | None]) -> Iterator[None]:
    """End this process where the `with` block goes on long after a worker should have given up.

    Only in the main thread, where the process is the worker's own; else its loop alone gives up.

    Args:
        limit: after so many seconds out of reach a worker gives up by itself; None for never.
        heartbeat: returns its heartbeat, once there is one.
    """
    if limit is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    began, ended = time.monotonic(), threading.Event()

    def silent() -> float:
        beating = heartbeat()
        return time.monotonic() - began if beating is None else beating.silent

    def watch() -> None:
        while (left := limit + LAST_RESORT_SECONDS - silent()) > 0:
            if ended.wait(left):
                return
        try:
            log_event(
                logger, logging.CRITICAL, "worker_hung",
                "the worker cannot reach its database and does not end by itself: it ends here",
                seconds=round(silent(), 1),
            )  # fmt: skip
        finally:
            os._exit(1)

    threading.Thread(target=watch, name="dibs-watchdog", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
