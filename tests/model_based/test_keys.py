"""Both engines and a model of the keys agree through random histories of enqueues and ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dibs.errors import DuplicateJobError
from dibs.model.job import WAITING, DeadReason, NewJob, State
from dibs.model.lifecycle import Bury, Claim, Failed, Finish, Requeue, Settlement
from dibs.model.lines import Demand, Serving
from dibs.model.times import SECOND
from dibs.model.unique import Unique, idempotency
from dibs.store.ops.claim import job_claim
from dibs.store.ops.jobs import job_cancel
from dibs.store.ops.keys import job_enqueue_keyed
from dibs.store.ops.settle import job_settle
from tests.model_based.engines import Engines

START = 1_767_225_600 * SECOND
SERVING = Serving(("default",))
KEYS = "SELECT key, job_id, during, expires_at FROM dibs_keys"

uniques = st.builds(
    Unique,
    key=st.sampled_from(["a", "b"]),
    during=st.sampled_from(["waiting", "active", 5, 20]),
    on_conflict=st.sampled_from(["return", "skip", "replace", "raise"]),
)
calls = st.tuples(st.none() | uniques, st.sampled_from([None, None, None, "x"]))
steps = st.one_of(
    st.tuples(st.just("enqueue"), st.lists(calls, min_size=1, max_size=3)),
    st.tuples(st.just("claim"), st.integers(1, 3)),
    st.tuples(
        st.sampled_from(["complete", "bury", "requeue", "cancel", "wait"]), st.integers(0, 9)
    ),
)


class Model:
    """Jobs and keys, in memory."""

    def __init__(self) -> None:
        self.now = START
        self.keys: dict[str, tuple[int, str, int | None]] = {}
        self.states: dict[int, State] = {}
        self.args: dict[int, str] = {}
        self.claims: dict[int, Claim] = {}

    def enqueue(self, jobs: list[NewJob]) -> list[tuple[int, bool]] | None:
        """Store one job after the other; None, and nothing stored, where one raises."""
        before = dict(self.keys), dict(self.states), dict(self.args)
        found = []
        for job in jobs:
            answer = self._enqueue(job)
            if answer is None:
                self.keys, self.states, self.args = before
                return None
            found.append(answer)
        return found

    def _enqueue(self, job: NewJob) -> tuple[int, bool] | None:
        mine = []
        for key in job.keys:
            holder, _, expires_at = self.keys.get(key.text, (0, "", None))
            if not holder or (expires_at is not None and expires_at <= self.now):
                mine.append(key)
                continue
            if key.on_conflict == "raise":
                return None
            if key.on_conflict == "replace":
                if self.states[holder] not in WAITING:
                    return None
                self.args[holder] = job.args
            self._take(mine, holder)
            return holder, key.on_conflict == "skip"
        id_ = len(self.states) + 1
        self.states[id_], self.args[id_] = State.READY, job.args
        self._take(mine, id_)
        return id_, False

    def _take(self, keys: list[Any], holder: int) -> None:
        for key in keys:
            until = None if key.period is None else self.now + key.period
            self.keys[key.text] = (holder, str(key.during), until)

    def free(self, job_id: int, *durings: str) -> None:
        """Free the keys that a job holds so long."""
        self.keys = {k: v for k, v in self.keys.items() if v[0] != job_id or v[1] not in durings}

    def end(self, job_id: int, state: State) -> None:
        """End a job."""
        self.states[job_id] = state
        self.claims.pop(job_id, None)
        self.free(job_id, "waiting", "active")


class Clock:
    """A clock that the model moves."""

    model = Model()

    def __call__(self) -> int:
        return self.model.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engines(sqlite_url: str, postgres_url: str, clock: Clock) -> Iterator[Engines]:
    engines = Engines(sqlite_url, postgres_url, clock)
    yield engines
    engines.close()


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=st.lists(steps, min_size=4, max_size=25))
def test_keys_are_held_as_the_model_says(
    engines: Engines, clock: Clock, history: list[tuple[str, Any]]
):
    engines.empty()
    clock.model = model = Model()
    for step, value in history:
        if step == "enqueue":
            enqueue(engines, model, value)
        elif step == "claim":
            claim(engines, model, value)
        elif step == "wait":
            model.now += value * SECOND
        elif step == "cancel":
            waiting = [id_ for id_, state in model.states.items() if state in WAITING]
            if waiting:
                engines.run(job_cancel(waiting[value % len(waiting)], None))
                model.end(waiting[value % len(waiting)], State.CANCELLED)
        elif model.claims:
            settle(engines, model, step, list(model.claims.values())[value % len(model.claims)])
        held = [(key, *rest) for key, rest in model.keys.items()]
        over = {row[0] for row in held if row[3] is not None and row[3] <= model.now}
        rows = engines.rows(KEYS)
        assert {row for row in rows if row[0] not in over} == {
            row for row in held if row[0] not in over
        }
    for id_ in [id_ for id_, state in model.states.items() if state in WAITING]:
        engines.run(job_cancel(id_, None))
    for last in list(model.claims.values()):
        settle(engines, model, "complete", last)
    assert all(during == "period" for _, _, during, _ in engines.rows(KEYS))


def enqueue(engines: Engines, model: Model, said: list[tuple[Unique | None, str | None]]) -> None:
    jobs = []
    for unique, call in said:
        args = json.dumps({"n": len(model.states) + len(jobs)})
        key = None if unique is None else unique.job_key("send", "default", args)
        again = None if call is None else idempotency(call, "send", 10 * SECOND)
        jobs.append(NewJob("send", args, unique=key, idempotency=again))
    expected = model.enqueue(jobs)
    try:
        placed = engines.run(job_enqueue_keyed(jobs))
    except DuplicateJobError:
        assert expected is None
        engines._restart_ids(max(model.states, default=0))
        return
    assert [(job.id, job.skipped) for job in placed] == expected
    args = engines.rows("SELECT id, CAST(args AS TEXT) FROM dibs_jobs")
    assert dict(args) == {id_: model.args[id_] for id_, _ in args}


def claim(engines: Engines, model: Model, count: int) -> None:
    for job in engines.run(job_claim("w", SERVING, ["send"], Demand(count))).jobs:
        model.states[job.id], model.claims[job.id] = State.RUNNING, job.ticket
        model.free(job.id, "waiting")


def settle(engines: Engines, model: Model, step: str, held: Claim) -> None:
    boom = Failed("ValueError", "boom")
    end: Settlement
    if step == "complete":
        end = Finish(held, State.COMPLETED)
    elif step == "bury":
        end = Bury(held, DeadReason.GAVE_UP, boom)
    else:
        end = Requeue(held, "release", None, counted=False, record=None)
    assert engines.run(job_settle([end])).moved == {held.job_id}
    if step == "requeue":
        model.states[held.job_id] = State.READY
        del model.claims[held.job_id]
    else:
        model.end(held.job_id, State.DEAD if step == "bury" else State.COMPLETED)
