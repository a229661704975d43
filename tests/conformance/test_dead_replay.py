"""Replaying dead letters: new attempts for the same jobs, never a second job."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from dibs import (
    DeadResult,
    Dibs,
    DibsError,
    InvalidArgsError,
    JobNotFoundError,
    JobStateError,
    KeyInUseError,
    State,
    UnknownKindError,
)
from tests.conformance.conftest import OpenFace
from tests.conformance.dying import Morgue
from tests.conformance.working import working
from tests.support.waiting import eventually

NOBODY = 10_000


class TestOne:
    def test_keeps_what_it_is_and_gets_new_attempts(self, morgue: Morgue):
        [job_id] = morgue.bury("boom")
        morgue.dead.review(job_id, note="try again")
        before = morgue.face.jobs.get(job_id)
        assert morgue.dead.replay(job_id) == DeadResult(1)
        job = morgue.face.jobs.get(job_id)
        assert (job.state, job.attempt, job.crashes) == (State.READY, 0, 0)
        assert (job.args, job.error, job.reason) == (before.args, "boom", None)
        assert job.created_at == before.created_at
        assert job.scheduled_at >= before.finished_at
        assert morgue.dead.count() == 0
        morgue.face.work()
        letter = morgue.dead.get(job_id)
        assert (letter.job.attempt, letter.reviewed_at) == (1, None)
        assert [note.text for note in letter.notes] == ["try again"]
        assert [one.error for one in morgue.face.jobs.attempts(job_id)] == ["boom", "boom"]

    def test_one_that_is_not_dead(self, morgue: Morgue):
        [job_id] = morgue.bury("boom")
        morgue.dead.replay(job_id)
        with pytest.raises(JobStateError, match=f"cannot replay job {job_id}: it is ready"):
            morgue.dead.replay(job_id)
        with pytest.raises(JobStateError, match=f"cannot replay job {job_id}: it is ready"):
            morgue.dead.replay(job_id, args={"message": "x"})
        for unknown in (NOBODY, 0, 2**63):
            with pytest.raises(JobNotFoundError):
                morgue.dead.replay(unknown)
        assert morgue.face.stats().states[State.READY] == 1

    def test_wakes_an_idle_worker(self, morgue: Morgue, tables_url: str):
        [job_id] = morgue.bury("boom")
        app = Dibs(tables_url)
        done: list[str] = []

        @app.job(kind="fail")
        def note(message: str) -> None:
            done.append(message)

        with working(app, poll=60) as worker:
            worker.started.wait()
            morgue.dead.replay(job_id)
            eventually(lambda: done == ["boom"], "the replayed job to run")
        app.close()


class TestEditedArgs:
    def test_take_the_place_of_the_others(self, morgue: Morgue):
        [job_id] = morgue.bury("boom")
        morgue.dead.replay(job_id, args={"message": "bang"})
        assert morgue.face.jobs.get(job_id).args == {"message": "bang"}
        morgue.face.work()
        assert morgue.dead.get(job_id).job.error == "bang"

    @pytest.mark.parametrize(
        ("args", "says"),
        [
            ({"message": 7}, "args of 'fail': message: Input should be a valid string (got 7)"),
            ({}, "args of 'fail': message: Field required"),
            ({"message": "m", "more": 1}, "more: Extra inputs are not permitted"),
            ("boom", "expected an object with the args by name"),
            ({"message": "x" * 1_000_001}, "bytes of JSON are more than the limit of 1000000"),
        ],
    )
    def test_that_do_not_fit_change_nothing(self, morgue: Morgue, args: Any, says: str):
        [job_id] = morgue.bury("boom")
        letter = morgue.dead.get(job_id)
        with pytest.raises(InvalidArgsError) as raised:
            morgue.dead.replay(job_id, args=args)
        assert says in str(raised.value)
        assert morgue.dead.get(job_id) == letter

    def test_of_a_kind_that_nobody_registered(self, morgue: Morgue, new_face: OpenFace):
        [job_id] = morgue.bury("boom")
        with pytest.raises(UnknownKindError, match="unknown kind 'fail'; registered kinds: none"):
            new_face().dead.replay(job_id, args={"message": "bang"})
        assert morgue.dead.get(job_id).job.args == {"message": "boom"}
        # Its own args need no handler here: the worker has it.
        assert new_face().dead.replay(job_id) == DeadResult(1)

    def test_are_for_one_letter(self, morgue: Morgue):
        with pytest.raises(DibsError, match="args are for one dead letter"):
            morgue.dead.replay(morgue.bury("a", "b"), args={"message": "c"})
        assert morgue.dead.count() == 2


class TestMany:
    def test_by_id(self, morgue: Morgue):
        a, b, c = morgue.bury("a", "b", "c")
        waiting = morgue.fail.enqueue("waits").id
        result = morgue.dead.replay([c, a, NOBODY, waiting, a])
        assert result.done == 2
        assert [(one.job_id, type(one.error)) for one in result.refused] == [
            (waiting, JobStateError), (NOBODY, JobNotFoundError)
        ]  # fmt: skip
        assert morgue.ids() == [b]

    def test_all_that_match(self, morgue: Morgue):
        morgue.bury("one timeout", "other")
        [kept] = morgue.bury("timeout", kind="give_up")
        assert morgue.dead.replay_all(error="TIMEOUT", kind="fail") == DeadResult(1)
        assert morgue.dead.replay_all(error="nothing of this") == DeadResult(0)
        assert morgue.dead.count() == 2
        assert morgue.dead.replay_all(everything=True, queue="default") == DeadResult(1)
        assert morgue.ids() == [kept]

    @pytest.mark.parametrize("method", ["replay_all", "purge_all", "review_all"])
    def test_everything_has_to_be_said(self, morgue: Morgue, method: str):
        morgue.bury("a", "b")
        for options in ({}, {"reviewed": None}, {"everything": False}):
            with pytest.raises(DibsError, match=f"^{method} without a filter means every dead"):
                getattr(morgue.dead, method)(**options)
        assert morgue.dead.count(reviewed=False) == 2
        assert getattr(morgue.dead, method)(everything=True) == DeadResult(2)

    def test_in_batches_each_once(self, morgue: Morgue, batch: int):
        buried = morgue.bury_many(2 * batch + 10)
        seen: list[int] = []
        # Some of them cannot be, which must not stop the others, nor be met again.
        holder = morgue.fail.using(delay=3600).enqueue("holds").id
        morgue.hold_key(holder, "taken")
        stay = buried[: batch + 20]
        morgue.make_unique("taken", *stay)
        result = morgue.dead.replay_all(everything=True, progress=seen.append)
        assert (result.done, len(result.refused)) == (batch - 10, batch + 20)
        assert (sum(seen), len(seen)) == (2 * batch + 10, 3)
        assert sorted(one.job_id for one in result.refused) == stay
        assert sorted(morgue.ids(limit=10_000)) == stay
        assert morgue.face.stats().states[State.READY] == batch - 10


class TestSpread:
    def test_over_time(self, morgue: Morgue):
        buried = morgue.bury("a", "b", "c", "d")
        assert morgue.dead.replay_all(everything=True, per_minute=2) == DeadResult(4)
        jobs = [morgue.face.jobs.get(id_) for id_ in buried]
        assert [job.state for job in jobs] == [State.READY, *[State.SCHEDULED] * 3]
        at = [job.scheduled_at for job in jobs[1:]]
        half = timedelta(seconds=30)
        assert [at[1] - at[0], at[2] - at[1]] == [half, half]
        assert half - timedelta(seconds=25) < at[0] - jobs[0].scheduled_at <= half

    def test_goes_on_from_batch_to_batch_and_leaves_no_gap(self, morgue: Morgue, batch: int):
        morgue.bury_many(batch + 3)
        oldest = morgue.ids(limit=10_000)[-1]
        morgue.hold_key(NOBODY, "taken")
        morgue.make_unique("taken", oldest)
        result = morgue.dead.replay_all(everything=True, per_minute=60)
        assert (result.done, [one.job_id for one in result.refused]) == (batch + 2, [oldest])
        times = sorted(job.scheduled_at for job in morgue.face.jobs.list(limit=10_000, kind="fail"))
        late = [at for at in times if at > times[-1] - timedelta(seconds=batch - 10)]
        steps = {b - a for a, b in pairwise(late)}
        assert steps == {timedelta(seconds=1)}

    def test_by_id(self, morgue: Morgue):
        assert morgue.dead.replay(morgue.bury("a", "b"), per_minute=1).done == 2
        states = morgue.face.stats().states
        assert (states[State.READY], states[State.SCHEDULED]) == (1, 1)

    @pytest.mark.parametrize("number", [0, -1, 1.5, True, "9", 1_000_001])
    def test_that_cannot_be(self, morgue: Morgue, number: Any):
        [job_id] = morgue.bury("boom")
        for act in (
            lambda: morgue.dead.replay(job_id, per_minute=number),
            lambda: morgue.dead.replay_all(kind="fail", per_minute=number),
        ):
            with pytest.raises(DibsError, match=r"per_minute=.*: expected a whole number from 1"):
                act()
        assert morgue.dead.count() == 1


class TestUniqueKeys:
    def test_one_in_use_leaves_the_letter(self, morgue: Morgue):
        [job_id] = morgue.bury("boom")
        holder = morgue.fail.enqueue("holds").id
        morgue.make_unique("order 1", job_id)
        morgue.hold_key(holder, "order 1")
        letter = morgue.dead.get(job_id)
        with pytest.raises(
            KeyInUseError, match=f"job {job_id}: .* held by job {holder};"
        ) as raised:
            morgue.dead.replay(job_id)
        assert (raised.value.job_id, raised.value.holder) == (job_id, holder)
        with pytest.raises(KeyInUseError):
            morgue.dead.replay(job_id, args={"message": "other"})
        [refused] = morgue.dead.replay([job_id]).refused
        assert isinstance(refused.error, KeyInUseError)
        assert morgue.dead.get(job_id) == letter
        assert morgue.rows("dibs_keys") == 1

    def test_one_that_is_free_is_taken_again(self, morgue: Morgue):
        expired, free = morgue.bury("a", "b")
        morgue.make_unique("was held", expired)
        morgue.make_unique("free", free)
        morgue.hold_key(NOBODY, "was held", expires_at=1)
        assert morgue.dead.replay([expired, free]) == DeadResult(2)
        assert morgue.rows("dibs_keys WHERE during = 'active' AND expires_at IS NULL") == 2
        assert morgue.rows(f"dibs_keys WHERE key = 'was held' AND job_id = {expired}") == 1

    def test_of_several_letters_goes_to_the_first(self, morgue: Morgue):
        a, b, c = morgue.bury("a", "b", "c")
        morgue.make_unique("order 1", a, b)
        result = morgue.dead.replay([b, c, a])
        assert result.done == 2
        [refused] = result.refused
        assert (refused.job_id, refused.error.holder) == (b, a)
        assert morgue.ids() == [b]


def test_two_at_once_replay_each_letter_once(morgue: Morgue, tables_url: str):
    """Nobody's replay makes a second job, and the two of them do not stop each other."""
    morgue.bury_many(600)

    def replay(_: int) -> int:
        app = Dibs(tables_url)
        try:
            return app.dead.replay_all(everything=True).done
        finally:
            app.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(replay, range(4))) == 600
    assert morgue.face.rows() == (600, 600)
