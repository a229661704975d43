"""Declare handlers, and run a worker through either face, in this process."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dibs import Dibs, Worker
from tests.support.waiting import WITHIN


def declare(app: Dibs, executor: str, function: Callable[..., Any], **options: Any) -> Any:
    """Declare a plain function for the loop or for threads."""
    if executor == "thread":
        return app.job(**options)(function)

    @functools.wraps(function)
    async def wrapped(**kwargs: Any) -> Any:
        return function(**kwargs)

    return app.job(**options)(wrapped)


def work(app: Dibs, mode: str = "sync", **options: Any) -> Worker:
    """Run what can start now to its end."""
    worker = app.worker(**options)
    run(worker, mode, until_idle=True)
    return worker


def run(worker: Worker, mode: str = "sync", *, until_idle: bool = False) -> None:
    """Run a worker through its sync or its async face."""
    if mode == "sync":
        worker.run(until_idle=until_idle)
    else:
        asyncio.run(worker.arun(until_idle=until_idle))


def logged(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """Return the fields of the events of this name so far."""
    found = [record for record in caplog.records if getattr(record, "event", None) == name]
    return [record.dibs_fields for record in found]  # type: ignore[attr-defined]


@contextmanager
def working(app: Dibs, mode: str = "sync", **options: Any) -> Iterator[Worker]:
    """Have a worker run in a thread, and stop it at the end."""
    worker = app.worker(**options)
    problems: list[BaseException] = []

    def live() -> None:
        try:
            run(worker, mode)
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=live, name="worker-under-test")
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(WITHIN)
        assert not thread.is_alive(), "the worker did not stop"
        assert not problems, problems
