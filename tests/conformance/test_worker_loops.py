"""A worker shows how its loops are doing, and says so when one of them stands still."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from dibs import Dibs
from dibs.insights import to_json
from dibs.model.lines import Serving
from dibs.model.times import to_micros
from dibs.store.ops.workers import WorkerRecord, worker_beat
from tests.conformance.working import working
from tests.support.waiting import WITHIN, eventually

NewApp = Callable[..., Dibs]
LOOPS = {  # among others
    "fetch",
    "settle",
    "promote",
    "schedules",
    "rescue",
    "stalls",
    "watch",
}
OFTEN = {"heartbeat": 0.05, "lease": 0.3}


def beaten(app: Dibs, doing: Callable[[WorkerRecord], bool]) -> WorkerRecord:
    """Return the one worker, once its heartbeat tells that it is `doing` so."""

    def found() -> WorkerRecord | None:
        workers = app.stats().workers
        return workers[0] if workers and doing(workers[0]) else None

    record = eventually(found, "the heartbeat to tell")
    assert record is not None
    return record


def all_succeeded(record: WorkerRecord) -> bool:
    loops = record.loops
    return set(loops) >= LOOPS and all(loop.succeeded_at for loop in loops.values())


def test_every_loop_shows_its_last_success_by_the_database_s_clock(new_app: NewApp):
    app = new_app(**OFTEN)
    app.job(lambda: None, kind="nothing")
    with working(app):
        record = beaten(app, all_succeeded)
        first = record.loops["fetch"].succeeded_at
        assert first is not None
        later = beaten(app, lambda one: (one.loops["fetch"].succeeded_at or first) > first)
        for loop in later.loops.values():
            assert loop.succeeded_at is not None
            assert record.started_at - timedelta(seconds=1) < loop.succeeded_at <= later.beat_at
        assert set(to_json(later)["loops"]["watch"]) == {"succeeded_at", "late"}
        assert abs(later.skew) < timedelta(seconds=1)  # the same machine


def test_a_clock_that_is_ahead(new_app: NewApp):
    app = new_app()
    now = to_micros(app.stats().at)
    beat = worker_beat("w", Serving(("default",)), [], 1, {}, 60_000_000, wall=now + 3_600_000_000)
    app.store.run(beat)
    [record] = app.stats().workers
    assert timedelta(minutes=59) < record.skew < timedelta(minutes=61)


def test_a_loop_that_stands_still_is_logged_once(new_app: NewApp, caplog: pytest.LogCaptureFixture):
    lease = 0.7  # a crowded machine must not make a loop late beside the one that is blocked
    app = new_app(heartbeat=0.05, lease=lease)
    go = threading.Event()

    @app.job
    async def block() -> None:
        while not go.is_set():
            time.sleep(0.01)  # noqa: ASYNC251 - what a careless handler does

    def told() -> list[str]:
        records = [r for r in list(caplog.records) if getattr(r, "event", "") == "loop_late"]
        assert all(r.levelno == logging.ERROR for r in records)
        return [r.dibs_fields["loop"] for r in records]  # type: ignore[attr-defined]

    with working(app):
        try:
            beaten(app, all_succeeded)
            block.enqueue()
            eventually(lambda: "fetch" in told(), "the warning", within=WITHIN)
            long = timedelta(seconds=2 * lease)
            beaten(app, lambda one: one.loops["fetch"].late > long)
            assert told().count("fetch") == 1
            assert "watch" not in told()  # it has a thread of its own
        finally:
            go.set()
        beaten(app, lambda one: one.loops["fetch"].late < long)
