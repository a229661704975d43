"""What a worker logs: events with their fields, as text and as JSON."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest

from dibs import Backoff, Dibs, JobContext, Priority, Retry, Snooze, State
from dibs.services import cancels
from dibs.telemetry import configure_logging
from tests.conformance.working import work

NewApp = Callable[..., Dibs]
ENDS = {"job_failed", "job_cancelled", "job_snoozed", "job_released", "job_buried"}


@pytest.fixture
def json_log() -> Iterator[io.StringIO]:
    root, dibs = logging.getLogger(), logging.getLogger("dibs")
    before = root.handlers[:], root.level, dibs.level
    stream = io.StringIO()
    configure_logging("json", logging.DEBUG, stream)
    yield stream
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    dibs.setLevel(before[2])


def test_events_and_their_fields(new_app: NewApp, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, "dibs")
    app = new_app()

    @app.job(max_attempts=2, retry=Retry(backoff=Backoff.exponential(base=0)))
    def fail() -> None:
        raise ValueError("two\nlines")

    job = fail.enqueue()
    worker = work(app)
    records = {
        event: [r for r in caplog.records if getattr(r, "event", None) == event]
        for event in ("worker_started", "job_failed", "job_buried", "worker_stopped")
    }
    assert {event: len(found) for event, found in records.items()} == dict.fromkeys(records, 1)
    assert records["worker_started"][0].dibs_fields["worker"] == worker.id
    failed = records["job_failed"][0].dibs_fields
    assert (failed["job_id"], failed["kind"], failed["attempt"]) == (job.id, "fail", 1)
    assert failed["error_type"] == "ValueError"
    buried = records["job_buried"][0].dibs_fields
    assert (buried["attempt"], buried["reason"]) == (2, "attempts_exhausted")


def test_a_failure_that_nobody_wants_tried_again_is_told_as_it_ended(
    new_app: NewApp, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cancels, "LOOK_SECONDS", 3600.0)  # the worker itself never hears of it
    caplog.set_level(logging.DEBUG, "dibs")
    app = new_app()

    @app.job
    def fail(ctx: JobContext) -> None:
        app.jobs.cancel(ctx.job_id, "sold out")
        raise ValueError("boom")

    @app.job
    def snooze(ctx: JobContext) -> Snooze:
        app.jobs.cancel(ctx.job_id)
        return Snooze(0)

    ids = {fail.enqueue().id: "warning", snooze.enqueue().id: "debug"}
    work(app)
    told = [r for r in caplog.records if getattr(r, "event", "") in ENDS]
    assert {(r.event, r.dibs_fields["job_id"], r.levelname.lower()) for r in told} == {
        ("job_cancelled", job_id, level) for job_id, level in ids.items()
    }
    [said] = [r for r in told if r.levelno == logging.WARNING]
    assert said.dibs_fields["error_type"] == "ValueError"
    assert "failed, and is not tried again, for somebody has cancelled it: boom" in said.message
    assert {job.state for job in app.jobs.list()} == {State.CANCELLED}


def test_a_worker_tells_what_it_serves(new_app: NewApp, json_log: io.StringIO):
    app = new_app()
    app.job(lambda: None, kind="any")
    work(app)
    work(app, queues={"mail": 3, "web": 1}, priorities=(None, 10), reserve={Priority.NORMAL: 2})
    entries = [json.loads(line) for line in json_log.getvalue().splitlines()]
    names = ("queues", "lowest", "highest", "weights", "concurrency", "reserve")
    assert [
        [entry[name] for name in names] for entry in entries if entry["event"] == "worker_started"
    ] == [
        [["default"], -32768, 32767, {}, 10, {}],
        [["mail", "web"], -32768, 10, {"mail": 3, "web": 1}, 10, {"5": 2}],
    ]


def test_json_is_one_object_per_line(new_app: NewApp, json_log: io.StringIO):
    app = new_app()

    @app.job(max_attempts=1)
    def fail() -> None:
        raise ValueError('two\nlines and "quotes" ☂')

    fail.enqueue()
    work(app)
    lines = [json.loads(line) for line in json_log.getvalue().splitlines()]
    assert all(isinstance(line, dict) for line in lines)
    events = [line["event"] for line in lines if line["logger"].startswith("dibs")]
    assert {"worker_started", "job_buried", "worker_stopping", "worker_stopped"} <= set(events)
    (buried,) = [line for line in lines if line["event"] == "job_buried"]
    assert buried["level"] == "error"
    assert {"time", "logger", "message", "job_id", "kind", "queue", "attempt"} <= set(buried)
