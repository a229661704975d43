"""What a worker logs: events with their fields, as text and as JSON."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest

from dibs import Backoff, Dibs, Priority, Retry
from dibs.telemetry import configure_logging
from tests.conformance.working import work

NewApp = Callable[..., Dibs]


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
