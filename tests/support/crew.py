"""Real worker processes of `tests.support.recorder`: started, watched, stopped, killed."""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.support.database import is_locked
from tests.support.nursery import python
from tests.support.recorder import Entry, entries
from tests.support.waiting import WITHIN, eventually


class WorkerProcess:
    """One worker process; its log, one JSON object per line, goes to a file."""

    def __init__(self, folder: Path, number: int, options: dict[str, Any]) -> None:
        self.log = folder / f"worker-{number}.log"
        self._url = options["url"]
        environment = {**os.environ, "RECORDER": json.dumps(options)}
        with self.log.open("wb") as log:
            words = ("-W", "error", "-m", "tests.support.recorder")
            self.process = python(*words, env=environment, out=log, err=log)
        self.pid = self.process.pid

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return what it logged; every line has to be one JSON object."""
        whole = self.log.read_text().rpartition("\n")[0]
        found = [json.loads(line) for line in whole.splitlines()]
        return [event for event in found if name in {None, event["event"]}]

    def warnings(self) -> list[dict[str, Any]]:
        """Return what it logged at level warning and above."""
        return [event for event in self.events() if event["level"] not in {"debug", "info"}]

    def wait_for(self, name: str) -> dict[str, Any]:
        """Wait until it logs an event."""

        def found() -> list[dict[str, Any]]:
            events = self.events(name)
            assert events or self.process.poll() is None, f"it ended:\n{self.log.read_text()}"
            return events

        return eventually(found, f"{name} in {self.log}")[-1]

    @property
    def id(self) -> str:
        """The worker's id, once it has started."""
        return str(self.wait_for("worker_started")["worker"])

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def freeze(self) -> None:
        """Have it stand still until SIGCONT, at a moment at which it keeps nobody from writing."""
        process = psutil.Process(self.pid)
        while True:
            self.send(signal.SIGSTOP)
            eventually(lambda: process.status() == psutil.STATUS_STOPPED, "it to stand still")
            if not is_locked(self._url):
                return
            self.send(signal.SIGCONT)

    def wait(self, within: float = WITHIN) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(within)

    def stop(self, within: float = WITHIN) -> int:
        """Have it stop gracefully."""
        self.send(signal.SIGTERM)
        return self.wait(within)


class Crew:
    """Worker processes on one database; none outlives the `with` block."""

    def __init__(self, url: str, folder: Path, **options: Any) -> None:
        """Prepare workers.

        Args:
            url: their database.
            folder: where they write.
            options: `app` and `worker`, arguments for each, and `until_idle`.
        """
        self.folder = folder
        self.workers: list[WorkerProcess] = []
        self._options = {"url": url, "folder": str(folder), **options}
        self._closing = ExitStack()

    def start(self, count: int = 1, **options: Any) -> list[WorkerProcess]:
        """Start more workers, and return when all of them serve."""
        new = []
        for _ in range(count):
            worker = WorkerProcess(self.folder, len(self.workers), {**self._options, **options})
            self._closing.callback(_end, worker)
            self.workers.append(worker)
            new.append(worker)
        for worker in new:
            worker.wait_for("worker_started")
        return new

    def stop(self) -> list[int]:
        """Stop all that still run, gracefully and at once, and return their exit codes."""
        running = [worker for worker in self.workers if worker.process.poll() is None]
        for worker in running:
            worker.send(signal.SIGTERM)
        return [worker.wait() for worker in running]

    def entries(self, event: str = "start") -> list[Entry]:
        """Return what the handlers of all workers wrote down about one kind of event."""
        return [entry for entry in entries(self.folder) if entry.event == event]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()


def _end(worker: WorkerProcess) -> None:
    if worker.process.poll() is None:
        worker.process.kill()
    worker.process.wait()


class Producers:
    """Processes of `tests.support.producer`, all enqueueing at once; none outlives the block."""

    MODULE = "tests.support.producer"

    def __init__(self, url: str, folder: Path, count: int, seconds: float, *flags: str) -> None:
        self._outputs = [folder / f"producer-{number}.ids" for number in range(count)]
        self._errors = [path.with_suffix(".err") for path in self._outputs]
        self._seconds = seconds
        self.processes = []
        for number, (output, error) in enumerate(zip(self._outputs, self._errors, strict=True)):
            with output.open("wb") as out, error.open("wb") as err:
                words = ["-W", "error", "-m", self.MODULE, url, str(seconds)]
                words += [flag.format(number=number) for flag in flags]
                self.processes.append(python(*words, out=out, err=err))

    def acknowledged(self) -> list[int]:
        """Return the ids of the jobs that were promised so far."""
        return [int(line) for path in self._outputs for line in path.read_text().split()]

    def finish(self) -> tuple[list[int], list[str]]:
        """Wait for their end; return their exit codes and what they said on standard error."""
        codes = [process.wait(self._seconds + WITHIN) for process in self.processes]
        return codes, [path.read_text() for path in self._errors]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()


class Customers(Producers):
    """Processes of `tests.support.customer`, which tell a history what they were promised."""

    MODULE = "tests.support.customer"

    def __init__(
        self,
        url: str,
        folder: Path,
        count: int,
        seconds: float,
        *,
        seed: int,
        pause: float = 0.0,
        clock: str = "",
    ) -> None:
        flags = (str(folder), f"{seed}-{{number}}", str(pause), clock)
        super().__init__(url, folder, count, seconds, *flags)

    def stop(self) -> None:
        """Have them stop early, each after the enqueue that is under way."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
