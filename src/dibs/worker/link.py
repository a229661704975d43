"""The line between a supervisor and one of its children: a socket pair.

    supervisor  <──  {"event": "started"}                    the worker is registered
                <──  {"event": "recycling", "reason": "…"}   it ends, and wants to be replaced
                <──  {"event": "failed", "error": "…"}       it cannot start, and why
                ──>  end of file                             the supervisor is gone, however it went

Messages are lines of JSON. Only the supervisor holds its end, so the system closes it even when
the supervisor is killed.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import suppress
from typing import Any

from dibs.worker.worker import Worker

LONGEST_ERROR = 5_000
"""Characters of an error that are passed on."""


class ChildLink:
    """The child's end."""

    def __init__(self, fd: int) -> None:
        """Take over the inherited file descriptor."""
        os.set_inheritable(fd, False)
        self._socket = socket.socket(fileno=fd)

    def follow(self, worker: Worker) -> None:
        """Report when `worker` has started; stop it when the supervisor is gone."""
        for task in (self._report_start, self._stop_when_alone):
            threading.Thread(target=task, args=(worker,), name="dibs-link", daemon=True).start()

    def report_failure(self, error: str) -> None:
        """Say why there is no worker."""
        self._send({"event": "failed", "error": error[:LONGEST_ERROR]})

    def report_recycling(self, reason: str) -> None:
        """Say that this child ended to be replaced."""
        self._send({"event": "recycling", "reason": reason})

    def _report_start(self, worker: Worker) -> None:
        worker.started.wait()
        self._send({"event": "started"})

    def _stop_when_alone(self, worker: Worker) -> None:
        with suppress(OSError):  # a connection reset: gone as well
            while self._socket.recv(1024):
                pass
        worker.stop()

    def _send(self, message: dict[str, Any]) -> None:
        with suppress(OSError):  # the supervisor is gone, so nobody needs to know
            self._socket.sendall(json.dumps(message).encode() + b"\n")
