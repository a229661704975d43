"""The random histories: what may happen to a queue, step by step, and what must hold after each."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from dibs.errors import StoreError
from dibs.model.backoff import Backoff
from dibs.model.job import NewJob, State
from dibs.model.lifecycle import Claim, Outcome, Returned, settle
from dibs.model.lines import Demand, Serving
from dibs.model.ordering import Credit
from dibs.model.queues import QueuePolicy
from dibs.model.retry import Retry
from dibs.model.times import SECOND
from dibs.store.ops.claim import job_claim
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.jobs import (
    job_attempts,
    job_get,
    job_list,
)
from dibs.store.ops.pauses import pause_list
from dibs.store.ops.settle import job_settle
from dibs.store.ops.stats import stats_count
from dibs.store.ops.workers import (
    job_due,
    job_held,
    job_promote,
    job_rescue,
    worker_beat,
    worker_leave,
    worker_list,
)
from dibs.store.statement import Row
from tests.model_based import strategies as some
from tests.model_based.changes import Changes
from tests.model_based.engines import PLACES, jobs_load
from tests.model_based.entry import ENDED
from tests.model_based.oracle import RETRY_BASE, Oracle
from tests.model_based.strategies import KINDS, KNOWN, LEASE, QUEUES, RESERVE, SLOTS

START = 1_767_225_600 * SECOND
RETRY = Retry(backoff=Backoff(RETRY_BASE, factor=2.0, maximum=3600 * SECOND, jitter=0.0))


class Histories(Changes):
    """One history, lived by both engines and by the oracle."""

    now = START

    @classmethod
    def clock(cls) -> int:
        return Histories.now

    def __init__(self) -> None:
        super().__init__()
        Histories.now = START
        self.oracle = Oracle(START)
        self.given: list[Claim] = []
        self.highest: Counter[int] = Counter()
        self.ended: dict[int, Row] = {}
        self.credit: dict[str, Credit] = {}

    @initialize(
        jobs=st.lists(some.news, min_size=4, max_size=10),
        said=st.tuples(some.policies, some.policies),
    )
    def begin(self, jobs: list[NewJob], said: tuple[QueuePolicy, QueuePolicy]) -> None:
        self.engines.empty()
        for queue, policy in zip(QUEUES, said, strict=True):
            self.configure(queue, (policy, None))
        self.enqueue(jobs)

    # --- What may happen -------------------------------------------------------------------

    @rule(jobs=st.lists(some.news, min_size=1, max_size=4))
    def enqueue(self, jobs: list[NewJob]) -> None:
        jobs = [
            job
            if job.scheduled_at is None
            else replace(job, scheduled_at=self.now + job.scheduled_at)
            for job in jobs
        ]
        stored = self.engines.run(job_enqueue(jobs))
        expected = self.oracle.enqueue(jobs)
        assert stored == [(e.id, e.scheduled_at, e.created_at, e.state) for e in expected]

    @rule(jobs=st.lists(some.news, max_size=2), place=st.integers(0, 2), impossible=st.booleans())
    def enqueue_in_vain(self, jobs: list[NewJob], place: int, impossible: bool) -> None:
        if impossible:
            jobs.insert(place, NewJob("send", "{}", priority=40_000))
            refusals = self.engines.outcomes(job_enqueue(jobs))
            assert [type(error) for error in refusals] == [StoreError, StoreError]
        else:
            self.engines.rolled_back(job_enqueue(jobs), last_id=len(self.oracle.jobs))

    @rule(queue=some.queues, said=st.tuples(st.none() | some.policies, st.none() | some.policies))
    def configure(self, queue: str, said: tuple[QueuePolicy | None, QueuePolicy | None]) -> None:
        self.engines.configure(queue, *said, self.now)
        self.oracle.configure(queue, *said)

    @rule(
        worker=some.workers,
        serving=some.servings,
        kinds=some.kinds,
        demand=some.demands,
        admit=st.booleans(),
    )
    def claim(
        self, worker: str, serving: Serving, kinds: list[str], demand: Demand, admit: bool
    ) -> None:
        credit = self.credit.get(worker)
        found = self.engines.run(job_claim(worker, serving, kinds, demand, credit, admit=admit))
        taken, self.credit[worker] = found.jobs, found.credit
        expected, ranks, admitted = self.oracle.claim(worker, serving, kinds, demand, admit)
        assert [job.id for job in taken] == [entry.id for entry in expected]
        assert [job.rank for job in taken] == ranks
        assert found.admitted == admitted
        for job, entry in zip(taken, expected, strict=True):
            if entry.state is State.BLOCKED:
                assert (job.claim, job.attempt) == (None, None)
                continue
            assert job.ticket == entry.claim
            assert job.ticket.number > self.highest[job.id], "a claim's number came twice"
            assert (job.args, job.crashes, job.started_at) == (entry.args, entry.crashes, self.now)
            self.given.append(job.ticket)

    @precondition(lambda self: self.given)
    @rule(picks=st.lists(st.tuples(st.integers(0, 11), some.outcomes), min_size=1, max_size=6))
    def settle(self, picks: list[tuple[int, Outcome]]) -> None:
        """End attempts: those that run, as their workers and as others, and earlier ones."""
        running = [entry.claim for entry in self.oracle.found(State.RUNNING)]
        late = [claim for claim in self.given if claim not in running]
        late.sort(key=lambda claim: self.oracle.jobs[claim.job_id].state in ENDED)
        others = [replace(claim, worker="of another database") for claim in running[:2]]
        claims = (running[:4] + others + late)[:12]
        batch = {claims[pick % len(claims)]: end for pick, end in picks}
        settlements = [settle(claim, end, RETRY, Random(0)) for claim, end in batch.items()]
        moved = self.engines.run(job_settle(settlements)).moved
        assert moved == {
            claim.job_id for claim, end in batch.items() if self.oracle.settle(claim, end)
        }

    @rule(worker=some.workers, what=st.sampled_from(["rescue", "promote", "beat", "leave", "look"]))
    def tend(self, worker: str, what: str) -> None:
        match what:
            case "beat":
                self.engines.run(
                    worker_beat(worker, Serving(tuple(QUEUES)), KNOWN, SLOTS, RESERVE, LEASE)
                )
                self.oracle.beat(worker, QUEUES, KNOWN, SLOTS, RESERVE, LEASE)
            case "leave":
                self.engines.run(worker_leave(worker))
                self.oracle.workers.pop(worker, None)
            case "promote":
                expected = Counter(entry.queue for entry in self.oracle.promote())
                for queues in self.engines.outcomes(job_promote()):
                    assert Counter(queues) == expected
            case "rescue":
                self.rescue(2)
            case "look":
                self.look(worker, "mail", 3)

    def rescue(self, max_crashes: int) -> None:
        claims = {e.id: e.claim for e in self.oracle.found(State.RUNNING)}
        rescued = self.engines.run(job_rescue(max_crashes, LEASE))
        lost = self.oracle.rescue(max_crashes, LEASE)
        assert [end.claim for end in rescued] == [claims[id_] for id_ in sorted(e.id for e in lost)]

    @rule(span=some.spans | st.sampled_from(["until due", -SECOND, 7200 * SECOND]))
    def time_passes(self, span: int | str) -> None:
        if isinstance(span, str):
            due = self.engines.run(job_due())
            assert due == self.oracle.due()
            span = max(due or 0, 0)
        Histories.now += span
        self.oracle.now = Histories.now

    # --- What must hold --------------------------------------------------------------------

    @invariant()
    def every_job_is_in_one_place(self) -> None:
        rows = self.engines.rows(PLACES)
        expected = [row for entry in self.oracle.jobs.values() for row in entry.places()]
        assert sorted(rows, key=repr) == sorted(expected, key=repr)
        numbers: Counter[int] = Counter()
        for _, job_id, *_, number in rows:
            numbers[job_id] = max(numbers[job_id], number)
        for job_id, number in numbers.items():
            live = self.oracle.jobs[job_id].state not in {State.COMPLETED, State.CANCELLED}
            assert not live or number >= self.highest[job_id], "a claim's number came back"
        self.highest |= numbers

    @invariant()
    def every_record_is_right(self) -> None:
        rows = self.engines.run(jobs_load(list(self.oracle.jobs)))
        assert rows == [entry.row() for entry in self.oracle.jobs.values()]
        for row, entry in zip(rows, self.oracle.jobs.values(), strict=True):
            assert 0 <= entry.attempt <= entry.max_attempts
            if entry.state in ENDED:
                assert self.ended.setdefault(entry.id, row) == row, "an ended job changed"

    def look(self, worker: str, queue: str | None, limit: int) -> None:
        """Read what only some readers want: lists by state, counts, workers, claims."""
        for state in State:
            listed = self.engines.run(job_list(state, None, queue, limit))
            matching = self.oracle.listed(state, queue, limit)
            assert listed == [self.oracle.job(entry) for entry in matching]
        assert Counter(self.engines.run(job_held(worker))) == Counter(
            entry.claim for entry in self.oracle.found(State.RUNNING) if entry.worker == worker
        )
        for what in ("queue", "kind"):
            paused = {one.name for one in self.engines.run(pause_list()) if one.what == what}
            assert paused == self.oracle.paused(what)
        alive = {record.id: record for record in self.engines.run(worker_list())}
        assert alive == self.oracle.alive()
        for counts in self.engines.outcomes(stats_count()):
            assert counts.now == self.now
            ended = {(c.queue, c.kind, c.outcome): c.count for c in counts.outcomes}
            assert ended == self.oracle.outcomes
            live = {(p.state, p.queue, p.kind, p.priority): p.count for p in counts.places}
            assert live == Counter(
                (entry.state, entry.queue, entry.kind, entry.priority)
                for entry in self.oracle.jobs.values()
                if entry.state not in {State.COMPLETED, State.CANCELLED}
            )

    # --- How it ends -----------------------------------------------------------------------

    def teardown(self) -> None:
        """Let one good worker run: whatever happened before, every job ends."""
        if sys.exc_info()[0] is not None:
            return  # a step failed already
        self.resume()
        for _ in range(4):
            self.time_passes(7200 * SECOND)
            for span in (0, LEASE * 3 // 5, LEASE * 3 // 5):
                self.time_passes(span)
                self.tend("eve", "beat")
            self.tend("eve", "rescue")
            self.tend("eve", "promote")
            self.claim("eve", Serving(tuple(QUEUES)), KINDS, Demand(1000), admit=True)
            held = [entry.claim for entry in self.oracle.found(State.RUNNING)]
            done = [settle(claim, Returned(), RETRY, Random(0)) for claim in held]
            assert len(self.engines.run(job_settle(done)).moved) == len(held)
            assert all(self.oracle.settle(claim, Returned()) for claim in held)
        assert not [e for e in self.oracle.jobs.values() if e.state not in ENDED]
        self.every_job_is_in_one_place()
        self.every_record_is_right()
        self.look("eve", None, 1000)
        for entry in self.oracle.jobs.values():
            assert self.engines.run(job_get(entry.id)) == self.oracle.job(entry)
            assert self.engines.run(job_attempts(entry.id)) == entry.told()
