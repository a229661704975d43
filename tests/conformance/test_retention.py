"""Ended jobs are pruned by age and by number, per queue and state, with what belongs to them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from dibs import JobNotFoundError, Retention, State
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face
from tests.conformance.notes import TEN, Clock
from tests.conformance.spies import raw
from tests.conformance.working import logged, working
from tests.support.waiting import eventually

DAY = 24 * 3600
MINUTE = 60_000_000


class Archive:
    """A queue system whose jobs end at times that a test sets."""

    def __init__(self, face: Face, url: str, caplog: pytest.LogCaptureFixture) -> None:
        self.face, self.url, self.caplog = face, url, caplog
        self.now = int(TEN.timestamp()) * 1_000_000
        self.note = face.handler(lambda: None, kind="note", queue="none")

    def add(self, queue: str, state: State, *days: float) -> list[int]:
        """Have a job end in `state` so many days ago, for each of `days`; return their ids."""
        using = self.note.using(queue=queue)
        ids = self.face.enqueue_many([using.request() for _ in days])
        ended = {
            job_id: self.now - round(age * DAY * 1_000_000)
            for job_id, age in zip(ids, days, strict=True)
        }
        raw(self.url, f"DELETE FROM dibs_ready WHERE job_id >= {ids[0]}")
        attempts = (f"({job_id}, 1, 1, 'w', 0, 0, 'failed')" for job_id in ids)
        raw(
            self.url,
            "INSERT INTO dibs_attempts (job_id, claim, attempt, worker, started_at, finished_at, "
            f"outcome) VALUES {', '.join(attempts)}",
        )
        self._end(state, ended)
        return ids

    def _end(self, state: State, ended: dict[int, int]) -> None:
        if state is State.DEAD:
            dead = (f"({job_id}, 'gave_up', {at})" for job_id, at in ended.items())
            raw(
                self.url,
                f"INSERT INTO dibs_dead (job_id, reason, died_at) VALUES {', '.join(dead)}",
            )
            return
        raw(
            self.url,
            "INSERT INTO dibs_history (id, kind, queue, priority, state, args, max_attempts, "
            "attempt, crashes, scheduled_at, created_at, finished_at) "
            f"WITH ended (job_id, at) AS (VALUES {', '.join(map(str, ended.items()))}) "
            f"SELECT id, kind, queue, 0, '{state}', args, 5, 1, 0, 0, 0, at "
            "FROM dibs_jobs JOIN ended ON job_id = id",
        )
        raw(self.url, f"DELETE FROM dibs_jobs WHERE id >= {min(ended)}")

    def keep(self, queue: str, **kept: Any) -> None:
        self.face.queues.configure(queue, retention=Retention(**kept))

    def prune(self) -> dict[str, int]:
        """Have a worker look once, and return what it says that it has pruned."""
        self.caplog.clear()
        with self.caplog.at_level("INFO", "dibs.service"), working(self.face.target):
            eventually(lambda: logged(self.caplog, "pruned"), "what was pruned")
        [fields] = logged(self.caplog, "pruned")
        return fields

    def left(self) -> set[int]:
        jobs, attempts = (
            {row[0] for row in raw(self.url, f"SELECT {column} FROM {table}")}
            for column, table in (("id", "dibs_history"), ("job_id", "dibs_attempts"))
        )
        live = {row[0] for row in raw(self.url, "SELECT id FROM dibs_jobs")}
        assert attempts == jobs | live
        return jobs | live


@pytest.fixture
def archive(new_face: OpenFace, tables_url: str, caplog: pytest.LogCaptureFixture) -> Archive:
    face = new_face(clock=Clock())
    face.migrate()
    return Archive(face, tables_url, caplog)


COMPLETED, CANCELLED, DEAD = State.COMPLETED, State.CANCELLED, State.DEAD


def test_by_default_for_a_week_and_the_dead_for_ever(archive: Archive):
    gone = archive.add("mail", COMPLETED, 8, 7) + archive.add("web", CANCELLED, 7)
    kept = archive.add("mail", COMPLETED, 6.99, 0) + archive.add("web", CANCELLED, 6.99)
    kept += archive.add("mail", DEAD, 400)
    assert archive.prune() == {"jobs": 3, "letters": 0, "keys": 0, "traces": 0}
    assert archive.left() == set(kept)
    with pytest.raises(JobNotFoundError):
        archive.face.jobs.get(gone[0])


def test_per_queue_and_state_by_age_and_by_number(archive: Archive):
    archive.keep("age", completed=timedelta(days=2), cancelled=None, dead=3 * DAY)
    archive.keep("number", completed=None, max_completed=2, max_cancelled=0, max_dead=1)
    archive.keep("both", completed=2 * DAY, max_completed=3)
    archive.keep("ever", completed=None, cancelled=None)
    gone = [
        *archive.add("age", COMPLETED, 2.5), *archive.add("age", DEAD, 3),
        *archive.add("number", COMPLETED, 900, 30), *archive.add("number", CANCELLED, 0, 1),
        *archive.add("number", DEAD, 3, 2),
        *archive.add("both", COMPLETED, 9, 1.9),
    ]  # fmt: skip
    kept = [
        *archive.add("age", COMPLETED, 1.5), *archive.add("age", CANCELLED, 900),
        *archive.add("age", DEAD, 2.9),
        *archive.add("number", COMPLETED, 20, 10), *archive.add("number", DEAD, 1),
        *archive.add("both", COMPLETED, 1.8, 1.7, 1.6),
        *archive.add("ever", COMPLETED, 900), *archive.add("ever", CANCELLED, 900),
    ]  # fmt: skip
    assert archive.prune() == {"jobs": 7, "letters": 3, "keys": 0, "traces": 0}
    assert archive.left() == set(kept)
    assert not set(gone) & set(kept)


def test_of_those_that_ended_at_once_the_latest_are_kept(archive: Archive):
    archive.keep("mail", max_completed=3)
    ids = archive.add("mail", COMPLETED, *[1] * 10)
    archive.prune()
    assert archive.left() == set(ids[-3:])


def test_batch_after_batch(archive: Archive):
    archive.add("mail", COMPLETED, *[8] * 3)
    columns = (
        "kind, queue, priority, state, args, max_attempts, attempt, crashes, scheduled_at, "
        "created_at, finished_at"
    )
    series = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 800)"
    raw(
        archive.url,
        f"INSERT INTO dibs_history (id, {columns}) {series} "
        f"SELECT 1000000 + 1000 * h.id + i, {columns} FROM dibs_history AS h CROSS JOIN n",
    )
    assert archive.prune()["jobs"] == 2403
    assert archive.left() == set()


def test_counters_stay_right_when_old_minutes_are_added_up(archive: Archive):
    archive.add("mail", COMPLETED, 8)  # there is something to be said in the log
    minute = archive.now // MINUTE
    rows = [
        (minute - age, f"w{age % 3}", "mail", kind, age % 2, outcome, 1, 5, 7)
        for age in (0, 1, 59, 60, 61, 62, 500, 501, 5000)
        for kind in ("note", "other")
        for outcome in ("completed", "failed")
    ]
    raw(archive.url, f"INSERT INTO dibs_counters VALUES {', '.join(map(str, rows))}")
    before = archive.face.stats()
    archive.prune()
    eventually(lambda: len(counters(archive)) == 24, "old minutes to be added up")
    after = archive.face.stats()
    assert (after.states, after.failed_attempts) == (before.states, before.failed_attempts)
    assert [g.states[COMPLETED] for g in after.kinds] == [9, 9]
    found = counters(archive)
    assert {row[0] for row in found} == {0, minute, minute - 1, minute - 59, minute - 60}
    assert sum(row[1] for row in found) == len(rows)
    assert sum(row[2] for row in found) == 5 * len(rows)
    assert {row[3] for row in found if row[0] == 0} == {""}
    # What comes later is added to what is there.
    archive.add("mail", COMPLETED, 8)
    late = f"({minute - 70}, 'w0', 'mail', 'note', 0, 'completed', 4, 0, 0)"
    raw(archive.url, f"INSERT INTO dibs_counters VALUES {late}")
    archive.prune()
    eventually(lambda: len(counters(archive)) == 24, "the late one to be added")
    assert archive.face.stats().kinds[0].states[COMPLETED] == 13


def counters(archive: Archive) -> list[Any]:
    return raw(archive.url, "SELECT minute, count, wait, worker FROM dibs_counters")


def test_waits_for_nobody_and_nobody_for_it(
    new_face: OpenFace, postgres_url: str, caplog: pytest.LogCaptureFixture
):
    """On a file there is one writer, who has no locks to wait for but that of the gate."""
    face = new_face(postgres_url)
    face.migrate()
    face.queues.configure("default", retention=Retention(max_completed=0))
    note = face.handler(lambda: None, kind="note")
    note.enqueue()
    with working(face.target):
        eventually(lambda: face.stats().states[COMPLETED] == 1, "a job to end")
    with psycopg.connect(postgres_url) as other:
        other.execute("DELETE FROM dibs_history")  # as a worker that prunes, and does not commit
        late = note.enqueue()
        with working(face.target):
            eventually(lambda: face.jobs.get(late.id).state is COMPLETED, "the other job to end")
        other.rollback()
    assert logged(caplog, "prune_failed") == []
