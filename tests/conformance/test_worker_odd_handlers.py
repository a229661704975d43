"""Handlers that do what nobody should: the attempt fails, and the worker goes on."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dibs import Backoff, ConfigurationError, Dibs, InvalidArgsError, InvalidJobError, Retry, State
from tests.conformance.working import work
from tests.support import child_handlers

NewApp = Callable[..., Dibs]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_that_cannot_be_shown_is_a_failed_attempt(new_app: NewApp, mode: str):
    app = new_app()

    @app.job(max_attempts=1)
    async def on_the_loop() -> None:
        raise Unspeakable

    @app.job(max_attempts=1)
    def in_a_thread() -> None:
        raise Unspeakable

    jobs = [on_the_loop.enqueue(), in_a_thread.enqueue()]
    work(app, mode)
    for job in jobs:
        ended = app.jobs.get(job.id)
        assert ended.state is State.DEAD
        (attempt,) = app.jobs.attempts(job.id)
        assert attempt.error_type == "Unspeakable"
        assert "cannot be shown" in attempt.error


def test_a_result_that_cannot_be_read_back_hides_no_other_job(new_app: NewApp, mode: str):
    app = new_app()

    @app.job
    def huge() -> int:
        return 10**5000

    job, other = huge.enqueue(), huge.using(delay=3600).enqueue()
    work(app, mode)
    assert {found.id for found in app.jobs.list()} == {job.id, other.id}
    assert app.jobs.get(job.id).result is None


def test_work_that_nobody_awaits_is_a_failed_attempt(new_app: NewApp, mode: str):
    app = new_app()

    async def real(n: int) -> None: ...

    @functools.wraps(real)
    def wrapper(n: int) -> Any:
        return real(n)

    job = app.job(max_attempts=1)(wrapper).enqueue(1)
    work(app, mode)
    assert app.jobs.get(job.id).state is State.DEAD
    assert "instead of doing its work" in (app.jobs.get(job.id).error or "")


def test_generators_are_refused_where_they_are_declared(new_app: NewApp):
    app = new_app()

    def numbers() -> Iterator[int]:
        yield 1

    async def anumbers() -> AsyncIterator[int]:
        yield 1

    for handler in (numbers, anumbers):
        with pytest.raises(ConfigurationError, match="is a generator"):
            app.job(handler)
    with pytest.raises(ConfigurationError, match="needs a function"):
        app.job(functools.partial(print, 1))
    with pytest.raises(InvalidJobError, match="retry=3: expected a Retry"):
        app.job(retry=3)  # type: ignore[call-overload]


def test_two_handlers_of_one_name_are_refused(new_app: NewApp):
    app = new_app()

    @app.job
    def send(n: int) -> None: ...

    with pytest.raises(ConfigurationError, match="registered twice"):

        @app.job
        def send(n: int, m: int) -> None: ...


def test_args_that_could_not_be_read_back_are_refused(new_app: NewApp):
    app = new_app()

    @app.job
    def anything(value: Any) -> None: ...

    nested: list[Any] = []
    for _ in range(230):
        nested = [nested]
    for value in (nested, 10**5000):
        with pytest.raises(InvalidArgsError):
            anything.enqueue(value)
    assert app.jobs.list() == []


def test_children_work_where_the_worker_started(
    new_app: NewApp, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    started = tmp_path / "started"
    started.mkdir()
    monkeypatch.chdir(started)
    app = new_app()

    @app.job(priority=9, retry=Retry(backoff=Backoff.exponential(base=0)))
    def wander() -> None:
        os.chdir(tmp_path)

    in_a_child = child_handlers.declare(app, child_handlers.where_i_work)
    wander.enqueue()
    job = in_a_child.enqueue()
    work(app, mode, concurrency=1)
    assert app.jobs.get(job.id).result == os.fspath(started)
