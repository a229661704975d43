"""The demo's processes: started with their output in files, and ended whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from dibs.errors import DibsError

STOP_SECONDS = 5.0
"""How long a process has to end before it is killed."""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Process:
    """One of them: its name, its process, and how far its output was read."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], output: Path) -> None:
        self.name = name
        self.popen = popen
        self.output = output
        self.read = 0


class Processes:
    """Python processes that live as long as the `with` block."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Run processes in `folder`, with `environment` added to this one's."""
        self._folder = folder
        self._environment = {**os.environ, **environment}
        self._processes: list[_Process] = []

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all of them: by request first, by force if that doesn't help."""
        running = [process.popen for process in self._processes]
        for popen in running:
            popen.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for popen in running:
            try:
                popen.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()

    def start(self, name: str, *arguments: str) -> None:
        """Start `python arguments…`."""
        output = self._folder / f"{name.replace(' ', '-')}.log"
        with output.open("wb") as log:
            popen = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._environment,
            )
        self._processes.append(_Process(name, popen, output))

    def check(self) -> None:
        """Make sure that all of them still run.

        Raises:
            DibsError: one ended; with its last words.
        """
        for process in self._processes:
            code = process.popen.poll()
            if code is not None:
                words = process.output.read_text(errors="replace").strip().splitlines()
                last = words[-1] if words else "it said nothing"
                raise DibsError(f"the {process.name} ended with exit code {code}: {last}")

    def events(self) -> Iterator[str]:
        """Yield what the processes logged since the last call."""
        for process in self._processes:
            with process.output.open("rb") as log:
                log.seek(process.read)
                for line in log:
                    if not line.endswith(b"\n"):
                        break  # still being written
                    process.read += len(line)
                    message = _message(line)
                    if message is not None:
                        yield f"{process.name}: {message}"


def _message(line: bytes) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return str(entry["message"]) if isinstance(entry, dict) and "message" in entry else None


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let the first signal that asks this process to end raise KeyboardInterrupt, once.

    Those that follow are ignored: they would only interrupt the cleaning up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        for each in ENDING:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, end) for each in ENDING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
