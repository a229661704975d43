"""An app whose handlers write down what they do, and a worker process for it.

`python -m tests.support.recorder` runs a worker with the options in `$RECORDER`. Every handler
appends one line per event to a file of its own process, in one write, so that what a process did
can be read even after it was killed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dibs import Backoff, Dibs, JobContext, Limit, Retry
from dibs.store import Role, postgres_driver
from dibs.telemetry import configure_logging
from dibs.worker import watchdog, worker

OPTIONS: dict[str, Any] = json.loads(os.environ.get("RECORDER", "{}"))
FOLDER = Path(OPTIONS.get("folder", "."))

SOON = Retry(3, Backoff.exponential(base=0.02, max=0.1))

PER_CUSTOMER = Limit(name="customer", concurrency=2, key="{customer}")

app = Dibs(OPTIONS.get("url", "sqlite:///never-opened.db"), **OPTIONS.get("app", {}))


@dataclass(frozen=True)
class Entry:
    """One line: something began or ended."""

    event: str
    job_id: int
    attempt: int
    worker: str
    at: int


_files: dict[int, int] = {}


def write_down(event: str, ctx: JobContext) -> None:
    file = _files.get(os.getpid())
    if file is None:
        path = FOLDER / f"{os.getpid()}.entries"
        file = _files[os.getpid()] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    line = f"{event} {ctx.job_id} {ctx.attempt} {ctx.worker} {time.monotonic_ns()}\n"
    os.write(file, line.encode())


def whole_lines(path: Path) -> list[str]:
    """Return the lines of a file to which a process writes, or wrote until it was killed.

    The last one may be torn, and tells nothing.
    """
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def entries(folder: Path) -> list[Entry]:
    """Return what all processes wrote down, in the order of time."""
    found = []
    for path in folder.glob("*.entries"):
        for line in whole_lines(path):
            event, job_id, attempt, worker, at = line.split()
            found.append(Entry(event, int(job_id), int(attempt), worker, int(at)))
    return sorted(found, key=lambda entry: entry.at)


@app.job
async def record(ctx: JobContext) -> str:
    """Leave one line, and the worker's id as the result."""
    write_down("start", ctx)
    return ctx.worker


def _work(seconds: float, go: bool) -> Iterator[float]:
    """Yield the pauses that work consists of, until the file `go` exists if that is asked for."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not (go and (FOLDER / "go").exists()):
        yield min(left, 0.02) if go else left


@app.job
async def record_slowly(ctx: JobContext, seconds: float, go: bool = False) -> str:
    write_down("start", ctx)
    for pause in _work(seconds, go):
        await asyncio.sleep(pause)
    write_down("end", ctx)
    return ctx.worker


@app.job
def record_in_thread(ctx: JobContext, seconds: float, go: bool = False) -> str:
    write_down("start", ctx)
    for pause in _work(seconds, go):
        time.sleep(pause)
    write_down("end", ctx)
    return ctx.worker


@app.job(executor="process")
def record_in_child(ctx: JobContext, seconds: float, go: bool = False) -> str:
    write_down("start", ctx)
    for pause in _work(seconds, go):
        time.sleep(pause)
    write_down("end", ctx)
    return ctx.worker


def _may_fail(ctx: JobContext, failures: int) -> None:
    """Fail the first `failures` attempts."""
    if ctx.attempt <= failures:
        raise ValueError(f"attempt {ctx.attempt} of the {failures} that fail")


@app.job(retry=SOON)
async def flaky(ctx: JobContext, tag: str, seconds: float = 0, failures: int = 0) -> str:
    """Work for `seconds`, fail `failures` times; `tag` names the job for those without its id."""
    worker = await record_slowly.function(ctx, seconds)
    _may_fail(ctx, failures)
    return worker


@app.job(retry=SOON)
def flaky_in_thread(ctx: JobContext, tag: str, seconds: float = 0, failures: int = 0) -> str:
    worker = record_in_thread.function(ctx, seconds)
    _may_fail(ctx, failures)
    return worker


@app.job(executor="process", retry=SOON)
def flaky_in_child(ctx: JobContext, tag: str, seconds: float = 0, failures: int = 0) -> str:
    worker = record_in_child.function(ctx, seconds)
    _may_fail(ctx, failures)
    return worker


@app.job(limits=[PER_CUSTOMER], retry=SOON)
async def visit(ctx: JobContext, customer: int, seconds: float = 0, failures: int = 0) -> str:
    """Work for `seconds`, two at a time for each customer; fail `failures` times."""
    worker = await record_slowly.function(ctx, seconds)
    _may_fail(ctx, failures)
    return worker


@app.job(limits=[PER_CUSTOMER])
def call(ctx: JobContext, customer: int, seconds: float = 0) -> str:
    """Count together with visits."""
    return record_in_thread.function(ctx, seconds)


@app.job
async def stubborn(ctx: JobContext) -> None:
    """Refuse to be cancelled."""
    write_down("start", ctx)
    while True:
        try:
            await asyncio.sleep(60)  # until cancelled, again and again
        except asyncio.CancelledError:
            continue


@app.job
async def block_loop(ctx: JobContext) -> None:
    """Leave the event loop no time for anything else, until the file `go` exists."""
    write_down("start", ctx)
    while not (FOLDER / "go").exists():
        time.sleep(0.02)  # noqa: ASYNC251 - a handler that should have been a plain function


@app.job
async def kill_worker(ctx: JobContext) -> None:
    """Take the whole worker process down."""
    write_down("start", ctx)
    os.kill(os.getpid(), signal.SIGKILL)


@app.job(max_attempts=2, retry=Retry(backoff=Backoff.exponential(base=0)))
async def record_and_fail(ctx: JobContext) -> None:
    write_down("start", ctx)
    raise ValueError("as always")


def main() -> None:
    configure_logging("json", logging.DEBUG if OPTIONS.get("debug") else logging.INFO)
    watchdog.LAST_RESORT_SECONDS = OPTIONS.get("last_resort", watchdog.LAST_RESORT_SECONDS)
    if "patience" in OPTIONS:  # of 10 and 5 seconds
        postgres_driver.CONNECT_SECONDS = worker.FAREWELL_SECONDS = OPTIONS["patience"]
    if "answer_within" in OPTIONS:  # of 30 seconds, which is long for a test
        postgres_driver.ANSWER_SECONDS[Role.WORKER] = OPTIONS["answer_within"]
    if OPTIONS.get("tell"):
        # Only here: the log of histories reads what the handlers above write.
        from tests.support.history.log import Log
        from tests.support.history.tap import tap

        tap(Log(FOLDER))
    if OPTIONS.get("clock"):
        from tests.support.clocks import WallClock

        WallClock(Path(OPTIONS["clock"])).follow()
    app.worker(**OPTIONS.get("worker", {})).run(until_idle=OPTIONS.get("until_idle", False))
    app.close()


if __name__ == "__main__":
    # By its own name, so that children and the worker mean the same handlers.
    from tests.support import recorder

    recorder.main()
