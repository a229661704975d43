"""The doctor on both engines: each finding about the tables, the workers and what waits."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dibs import Check, Diagnosis, Dibs, Finding, Level, Priority
from dibs.insights import to_json
from dibs.model.lines import Serving
from dibs.model.times import to_micros
from dibs.store.ops.workers import worker_beat
from dibs.telemetry import Ages
from tests.conformance.face import Face
from tests.conformance.spies import raw
from tests.support.waiting import eventually

OpenFace = Callable[..., Face]
LEASE = 60_000_000
FINE = {"fetch": Ages(0.1, 0.0)}


def doctor(face: Face) -> Diagnosis:
    """Ask the doctor, and see that what he says can be sent on, the worst first."""
    found: Diagnosis = face.doctor()
    assert len(json.loads(json.dumps(to_json(found)))["findings"]) == len(found.findings)
    levels = [["problem", "warning", "ok"].index(finding.level) for finding in found.findings]
    assert levels == sorted(levels)
    assert found.healthy == (Level.PROBLEM not in {finding.level for finding in found.findings})
    for finding in found.findings:
        assert bool(finding.advice) == (finding.level is not Level.OK)
    return found


def said(face: Face, code: Check) -> list[Finding]:
    return [finding for finding in doctor(face).findings if finding.code is code]


def the(face: Face, code: Check) -> tuple[Level, str, str]:
    """Return the one finding about something."""
    [finding] = said(face, code)
    return finding.level, finding.message, finding.advice


def beat(face: Face, name: str = "w", **more: Any) -> None:
    """Have a worker live by its heartbeat alone."""
    options = {"queues": ("mail",), "kinds": ["note"], "lease": LEASE, "loops": FINE} | more
    serving = Serving(options["queues"], **options.get("range", {}))
    operation = worker_beat(
        name, serving, options["kinds"], 1, {}, options["lease"], loops=options["loops"],
        wall=options.get("wall"),
    )  # fmt: skip
    face.target.store.run(operation)


@pytest.fixture
def enqueue(face: Face) -> Callable[..., Any]:
    def note() -> None: ...

    handler = face.target.job(queue="mail")(note)
    return lambda **options: handler.using(**options).enqueue()


def test_all_is_well(face: Face, enqueue: Callable[..., Any]):
    enqueue()
    beat(face)
    found = doctor(face)
    assert {finding.level for finding in found.findings} == {Level.OK}
    assert found.healthy
    assert found.summary == f"{len(found.findings)} ok"
    assert abs(found.at - datetime.now(UTC)) < timedelta(minutes=1)
    both = {"database", "schema", "workers", "loops", "queues", "kinds", "priorities", "clock"}
    assert {finding.code for finding in found.findings} > both


def test_the_password_is_not_shown(postgres_url: str):
    app = Dibs(postgres_url.replace("postgres@", "postgres:s3cret@"))
    assert "s3cret" not in json.dumps(to_json(app.doctor()))
    app.close()


class TestTables:
    def test_missing(self, new_face: OpenFace, engine: str, database_url: str):
        if engine == "sqlite":  # an empty file, for none at all is another finding
            Path(database_url.removeprefix("sqlite:///")).touch()
        face = new_face(database_url)
        level, message, advice = the(face, Check.SCHEMA)
        assert (level, "dibs migrate" in advice) == (Level.PROBLEM, True)
        assert message.startswith("there are no tables of dibs; this dibs needs version ")
        assert said(face, Check.WORKERS) == []
        # It only looked: nothing was made.
        assert the(face, Check.SCHEMA)[1] == message

    @pytest.mark.parametrize(
        ("change", "advice"),
        [
            ("DELETE FROM dibs_migrations WHERE version > 1", "dibs migrate"),
            ("INSERT INTO dibs_migrations VALUES (99, 'x', 0)", "pip install -U dibs"),
        ],
    )
    def test_of_another_version(
        self, new_face: OpenFace, database_url: str, change: str, advice: str
    ):
        face = new_face(database_url)
        face.migrate()
        raw(database_url, change)
        level, message, told = the(face, Check.SCHEMA)
        assert level is Level.PROBLEM
        assert "99" in message or "version 1;" in message
        assert advice in told
        assert said(face, Check.WORKERS) == []

    def test_out_of_reach(self, new_face: OpenFace, engine: str, tmp_path: Path):
        gone = {
            "sqlite": f"sqlite:///{tmp_path / 'nowhere' / 'dibs.db'}",
            "postgres": "postgresql://postgres@127.0.0.1:1/dibs",
        }
        found = doctor(new_face(gone[engine]))
        assert {(f.code, f.level) for f in found.findings} == {(Check.DATABASE, Level.PROBLEM)}


class TestWorkers:
    def test_none_and_nothing_to_do(self, face: Face):
        face.migrate()
        level, message, advice = the(face, Check.WORKERS)
        assert (level, "dibs --app" in advice) == (Level.WARNING, True)
        assert "no worker is alive" in message

    def test_none_and_jobs_wait(self, face: Face, enqueue: Callable[..., Any]):
        enqueue()
        enqueue(delay=3600)
        level, message, _ = the(face, Check.WORKERS)
        assert (level, message) == (Level.PROBLEM, "no worker is alive, and 1 job could run")
        assert said(face, Check.QUEUES) == []  # it would only say the same again

    def test_one_fell_silent(self, face: Face):
        face.migrate()
        beat(face)
        beat(face, "lost", lease=1)

        def silent() -> list[Finding]:
            return [f for f in said(face, Check.WORKERS) if f.level is Level.WARNING]

        [finding] = eventually(silent, "its lease to end")
        assert finding.message.startswith("worker lost fell silent ")
        assert "rescue" in finding.advice or "go to the other workers" in finding.advice

    def test_a_loop_stands_still(self, face: Face):
        face.migrate()
        beat(face, loops={"fetch": Ages(0.0, 59.0), "settle": Ages(None, 61.0)})
        level, message, advice = the(face, Check.LOOPS)
        assert level is Level.PROBLEM
        assert message.startswith("the loop settle of worker w has not succeeded for 1 min 1 s")
        assert "blocks the event loop" in advice

    @pytest.mark.parametrize(("hours", "way"), [(2, "ahead of"), (-2, "behind")])
    def test_a_clock_is_off(self, face: Face, hours: int, way: str):
        face.migrate()
        now = to_micros(face.stats().at)
        beat(face, wall=now + hours * 3_600_000_000 + hours * 5_000_000)
        level, message, advice = the(face, Check.CLOCK)
        assert (level, "NTP" in advice) == (Level.WARNING, True)
        assert message == f"the clock of worker w is 2 h {way} the database's" or (
            message.startswith("the clock of worker w is 2 h ") and way in message
        )


class TestWhatWaits:
    def test_in_a_queue_that_nobody_serves(self, face: Face, enqueue: Callable[..., Any]):
        beat(face)
        enqueue(queue="reports")
        enqueue(queue="reports")
        level, message, advice = the(face, Check.QUEUES)
        assert level is Level.PROBLEM
        assert message.startswith("2 jobs in queue 'reports', which no live worker serves; the ")
        assert advice.endswith("--queue reports")
        assert the(face, Check.KINDS)[0] is Level.OK

    def test_of_a_kind_that_nobody_knows(self, face: Face, enqueue: Callable[..., Any]):
        beat(face, kinds=["other"])
        enqueue()
        level, message, advice = the(face, Check.KINDS)
        assert (level, "declares it" in advice) == (Level.PROBLEM, True)
        assert message.startswith("1 job of kind 'note' in queue 'mail', whose live workers ")

    def test_of_a_priority_outside_all_ranges(self, face: Face, enqueue: Callable[..., Any]):
        beat(face, range={"lowest": 10})
        enqueue(priority=Priority.HIGH)
        enqueue(priority=Priority.LOW)
        level, message, advice = the(face, Check.PRIORITIES)
        assert (level, "--min-priority" in advice) == (Level.PROBLEM, True)
        assert message.startswith("1 job of priority 0 in queue 'mail', outside the range of ")

    def test_that_is_not_due_is_a_warning(self, face: Face, enqueue: Callable[..., Any]):
        beat(face)
        enqueue(queue="reports", delay=3600)
        level, message, _ = the(face, Check.QUEUES)
        assert (level, message.endswith("which no live worker serves")) == (Level.WARNING, True)
        assert doctor(face).healthy
