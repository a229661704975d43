"""Removing dead letters for good: by hand, and by workers when their time is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dibs import (
    ConfigurationError,
    DeadResult,
    Dibs,
    JobNotFoundError,
    JobStateError,
    QueuePolicy,
    Retention,
    State,
)
from tests.conformance.dying import Morgue
from tests.conformance.spies import raw
from tests.conformance.working import working
from tests.support.waiting import eventually

GONE = 10_000
TABLES = ("jobs", "dead", "attempts", "notes", "effects", "keys")


def belongings(morgue: Morgue, job_id: int) -> None:
    """Have a job leave something in every table."""
    morgue.hold_key(job_id, f"key {job_id}")
    raw(
        morgue.url,
        f"INSERT INTO dibs_effects (job_id, name, done_at) VALUES ({job_id}, 'charge', 1)",
    )
    raw(
        morgue.url,
        f"INSERT INTO dibs_notes (job_id, written_at, note) VALUES ({job_id}, 1, 'hm')",
    )


def counts(morgue: Morgue) -> list[int]:
    return [morgue.rows(f"dibs_{table}") for table in TABLES]


class TestPurge:
    def test_removes_all_that_belongs_to_it(self, morgue: Morgue):
        gone, kept = morgue.bury("a", "b")
        for job_id in (gone, kept):
            belongings(morgue, job_id)
        assert counts(morgue) == [2] * 6
        assert morgue.dead.purge(gone) == DeadResult(1)
        assert counts(morgue) == [1] * 6
        with pytest.raises(JobNotFoundError):
            morgue.face.jobs.get(gone)
        assert len(morgue.face.jobs.attempts(kept)) == len(morgue.dead.get(kept).notes) == 1

    def test_several(self, morgue: Morgue):
        a, b, c = morgue.bury("a", "b", "c")
        waiting = morgue.fail.enqueue("waits").id
        result = morgue.dead.purge([a, b, waiting, GONE])
        assert result.done == 2
        assert [type(one.error) for one in result.refused] == [JobStateError, JobNotFoundError]
        assert morgue.ids() == [c]
        assert morgue.face.jobs.get(waiting).state is State.READY

    def test_all_that_match(self, morgue: Morgue):
        morgue.bury("timeout", "other")
        seen: list[int] = []
        assert morgue.dead.purge_all(error="timeout", progress=seen.append) == DeadResult(1)
        assert seen == [1]
        assert morgue.dead.count() == 1


class TestRetention:
    def test_is_part_of_a_queue_s_policy(self, morgue: Morgue):
        kept = Retention(dead=timedelta(days=30))
        queue = morgue.face.queues.configure("mail", retention=kept)
        assert queue.policy == QueuePolicy(retention=kept)
        assert queue.policy.strict
        assert morgue.face.queues.get("mail") == queue
        with pytest.raises(ConfigurationError, match=r"retention=30: expected a Retention"):
            morgue.face.queues.configure("mail", retention=30)

    def test_is_declared(self, morgue: Morgue):
        morgue.face.target.queues.declare("mail", retention=Retention(dead=60))
        morgue.face.work()
        assert morgue.face.queues.get("mail").policy.retention == Retention(dead=60)

    def test_workers_purge_what_is_over(self, morgue: Morgue, tables_url: str, batch: int):
        morgue.bury_many(batch + 50)
        [mail] = morgue.bury("kept for ever", kind="give_up")
        kept = morgue.bury("young")[0]
        hour_ago = int((datetime.now(UTC) - timedelta(hours=1)).timestamp() * 1e6)
        raw(tables_url, f"UPDATE dibs_dead SET died_at = {hour_ago} WHERE job_id <> {kept}")
        morgue.face.queues.configure("default", retention=Retention(dead=timedelta(minutes=50)))
        app = Dibs(tables_url)

        @app.job
        def knows_none_of_them() -> None: ...

        with working(app):
            eventually(lambda: morgue.dead.count() <= 2, "the old letters to be purged")
        app.close()
        assert morgue.ids() == [kept, mail]
        assert [morgue.rows(f"dibs_{table}") for table in ("jobs", "attempts")] == [2, 2]


class TestWhatIsLeftBehind:
    def test_is_pruned(self, morgue: Morgue, tables_url: str, caplog: pytest.LogCaptureFixture):
        [dead] = morgue.bury("boom")
        waiting = morgue.fail.using(delay=3600).enqueue("later").id
        for job_id in (dead, waiting, GONE, GONE + 1):
            belongings(morgue, job_id)
        morgue.hold_key(dead, "over", expires_at=1)
        morgue.hold_key(dead, "not over", expires_at=2**62)
        with caplog.at_level("INFO", "dibs.service"), working(morgue.face.target):
            eventually(lambda: morgue.rows("dibs_effects") == 2, "effects to be pruned")
            eventually(
                lambda: [r for r in caplog.records if getattr(r, "event", "") == "pruned"],
                "the event",
            )
        assert {row[0] for row in raw(tables_url, "SELECT job_id FROM dibs_notes")} == {
            dead, waiting
        }  # fmt: skip
        keys = {row[0] for row in raw(tables_url, "SELECT key FROM dibs_keys")}
        assert "over" not in keys
        assert {"not over", f"key {dead}", f"key {waiting}"} <= keys
        [record] = [r for r in caplog.records if getattr(r, "event", "") == "pruned"]
        assert record.dibs_fields == {"jobs": 0, "letters": 0, "keys": 1, "traces": 2}
