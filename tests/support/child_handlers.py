"""Handlers for `executor="process"`: a child process finds them by importing this module.

Tests declare them again on their own app: `app.job(executor="process")(in_child(where_am_i))`.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from dibs import Cancel, Dibs, JobContext, Snooze

app = Dibs("sqlite:///never-opened.db")


@app.job(executor="process")
def where_am_i(ctx: JobContext, word: str) -> dict[str, Any]:
    return {"pid": os.getpid(), "parent": os.getppid(), "word": word, "attempt": ctx.attempt}


@app.job(executor="process")
def where_i_work() -> str:
    return str(Path.cwd())


@app.job(executor="process")
def exit_with(code: int) -> None:
    os._exit(code)


@app.job(executor="process")
def shoot_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.job(executor="process")
def close_all_files() -> None:
    os.closerange(3, 1024)  # as those do who become a daemon
    time.sleep(60)  # until it is killed


@app.job(executor="process")
def leave(how: str) -> Any:
    if how == "snooze":
        return Snooze(3600)
    if how == "cancel":
        return Cancel("not wanted")
    if how == "exit":
        raise SystemExit("bye")
    raise ValueError(how)


@app.job(executor="process")
def hang(path: str) -> None:
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    while True:
        time.sleep(60)  # what a hanging handler does, until it is killed


@app.job(executor="process")
def ignore_signals(path: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hang(path)


@app.job(executor="process")
def close_all() -> None:
    os.closerange(3, 10_000)
    while True:
        time.sleep(60)  # without its pipe, which told the worker that it is gone


def declare(app: Dibs, handler: Any, **options: Any) -> Any:
    """Declare one of the handlers above on a test's own app."""
    return app.job(executor="process", **options)(handler.function)
