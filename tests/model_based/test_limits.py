"""Random histories with limits, on both engines: none is exceeded, and nobody waits beside room."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_histories

from dibs.errors import JobNotFoundError, JobStateError
from dibs.model.backoff import Backoff
from dibs.model.job import NewJob
from dibs.model.lifecycle import Claim, Failed, Interrupted, Outcome, Returned, Snoozed, settle
from dibs.model.limits import Limit, Rule
from dibs.model.lines import Demand, Serving
from dibs.model.queues import QueuePolicy
from dibs.model.retry import Retry
from dibs.model.times import SECOND
from dibs.model.uses import Use
from dibs.store.ops.claim import job_claim
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.jobs import job_cancel
from dibs.store.ops.limit_rules import limit_configure, limit_declare
from dibs.store.ops.limit_turns import limit_tend, limit_wake
from dibs.store.ops.settle import job_settle
from dibs.store.ops.workers import job_promote, job_rescue, worker_beat
from tests.model_based.engines import Engines

START = 1_767_225_600 * SECOND
NEVER = 10**15
QUEUES, KNOWN, KINDS = ("mail", "web"), ["send"], ["send", "alien"]
WEB = 2
"""Jobs of the second queue that may run at once."""
RATE, PER, BURST = 2, 10, 3
LIMITS = {
    "each": Limit(name="each", concurrency=2, key="{n}"),
    "all": Limit(name="all", concurrency=3),
    "rate": Limit(name="rate", rate=RATE, per=PER, burst=BURST),
}
RETRY = Retry(backoff=Backoff(10 * SECOND, factor=1.0, maximum=3600 * SECOND, jitter=0.0))
SERVING = Serving(QUEUES)
LEASE = 30 * SECOND
KEPT = (
    "SELECT key, full_at, held_until, wake_at FROM dibs_limit_keys",
    "SELECT key, SUM(count) FROM dibs_arrivals GROUP BY key",
    "SELECT key, job_id, claim FROM dibs_slots",
    "SELECT key, job_id FROM dibs_blocked",
    "SELECT job_id, claim, worker FROM dibs_running",
    "SELECT job_id FROM dibs_ready",
)

news = st.tuples(
    st.sampled_from(["send", "send", "send", "alien"]),
    st.sampled_from(QUEUES),
    st.lists(st.sampled_from(sorted(LIMITS)), unique=True, max_size=3),
    st.integers(0, 1),
    st.integers(1, 3),
    st.sampled_from([0, 0, 5]),
    st.sampled_from([0, 0, 0, 10 * SECOND]),
)
"""Kind, queue, limits, the arg n, cost, priority, delay."""
outcomes: st.SearchStrategy[Outcome] = st.sampled_from(
    [Returned(), Returned(), Failed("ValueError", "boom", ""), Snoozed(SECOND), Interrupted()]
)


@dataclass
class Bucket:
    """Tokens as fractions, of a rate that never changes."""

    tokens: Fraction = field(default_factory=lambda: Fraction(BURST))
    at: int = START

    def fill(self, now: int) -> None:
        self.tokens = min(BURST, self.tokens + Fraction((now - self.at) * RATE, PER * SECOND))
        self.at = now


class Limited(RuleBasedStateMachine):
    """One history, lived by both engines; what runs, and what it takes, is kept here too."""

    engines: Engines
    now = START

    @classmethod
    def clock(cls) -> int:
        return Limited.now

    def __init__(self) -> None:
        super().__init__()
        Limited.now = START
        self.jobs: dict[int, tuple[str, tuple[Use, ...]]] = {}
        self.running: dict[int, Claim] = {}
        self.bucket = Bucket()
        self.most = {"each": 2, "all": 3}

    @initialize()
    def begin(self) -> None:
        self.engines.empty()
        self.engines.configure("web", QueuePolicy(concurrency=WEB), None, self.now)
        self.engines.run(limit_declare({name: limit.rule for name, limit in LIMITS.items()}))
        self.beat("ann")

    # --- What may happen -------------------------------------------------------------------

    @rule(jobs=st.lists(news, min_size=1, max_size=5))
    def enqueue(self, jobs: list[tuple[Any, ...]]) -> None:
        new = []
        for kind, queue, names, n, cost, priority, delay in jobs:
            uses = tuple(LIMITS[name].use(kind, {"n": n}, cost) for name in names)
            args = json.dumps({"n": n})
            new.append(NewJob(kind, args, queue, priority, delay=delay, limits=uses))
        for stored, job in zip(self.engines.run(job_enqueue(new)), new, strict=True):
            self.jobs[stored.id] = (job.queue, job.limits)

    @rule(worker=st.sampled_from(["ann", "bob"]), count=st.integers(1, 6), expected=st.booleans())
    def claim(self, worker: str, count: int, expected: bool) -> None:
        self.take(worker, count, KNOWN, expected=expected)

    def take(self, worker: str, count: int, kinds: list[str], *, expected: bool = False) -> bool:
        """Claim; return whether there was anything."""
        claim = job_claim(worker, SERVING, kinds, Demand(count), admit=True, limited=expected)
        found = self.engines.run(claim)
        for job in found.jobs:
            if job.claim is None:
                continue
            queue, uses = self.jobs[job.id]
            assert self.has_room(uses), "a limit was exceeded"
            assert queue != "web" or self.in_web() < WEB, "a queue's limit was exceeded"
            self.running[job.id] = job.ticket
            if cost := self.cost(uses):
                self.bucket.tokens -= cost
        return bool(found.turns)

    @rule(picks=st.lists(st.tuples(st.integers(0, 9), outcomes), min_size=1, max_size=4))
    def settle(self, picks: list[tuple[int, Outcome]]) -> None:
        held = list(self.running.values())
        ends = {held[pick % len(held)]: end for pick, end in picks if held}
        self.engines.run(job_settle([settle(c, end, RETRY, Random(0)) for c, end in ends.items()]))
        for claim in ends:
            del self.running[claim.job_id]

    @rule(back=st.integers(0, 9))
    def cancel(self, back: int) -> None:
        job_id = len(self.jobs) - back
        if job_id not in self.running:
            try:
                self.engines.run(job_cancel(job_id, None))
            except (JobNotFoundError, JobStateError):
                return

    @rule(name=st.sampled_from(["each", "all"]), most=st.integers(1, 4))
    def configure(self, name: str, most: int) -> None:
        self.engines.run(limit_configure(name, Rule(concurrency=most)))
        self.most[name] = most

    @rule(what=st.sampled_from(["wake", "tend", "rescue", "promote"]))
    def tend(self, what: str) -> None:
        match what:
            case "wake":
                self.engines.run(limit_wake())
            case "tend":
                self.engines.run(limit_tend())
            case "promote":
                self.engines.outcomes(job_promote())
            case "rescue":
                for end in self.engines.run(job_rescue(1000, LEASE)):
                    del self.running[end.claim.job_id]

    @rule(worker=st.sampled_from(["ann", "bob"]))
    def beat(self, worker: str) -> None:
        self.engines.run(worker_beat(worker, SERVING, KNOWN, 3, {}, LEASE))

    @rule(span=st.sampled_from([1, SECOND, 5 * SECOND, 5 * SECOND, LEASE]))
    def time_passes(self, span: int) -> None:
        Limited.now += span
        self.bucket.fill(self.now)

    @rule(kinds=st.sampled_from([KNOWN, KINDS]))
    def run_dry(self, kinds: list[str]) -> None:
        """Look and claim until there is nothing to look at: then nobody waits beside room."""
        self.engines.run(limit_tend())
        for _ in range(200):
            woken = self.engines.run(limit_wake()).found
            if not self.take("ann", 10, kinds) and not woken:
                break
        else:
            raise AssertionError("it never runs dry")
        lines = dict(self.engines.rows("SELECT job_id, key FROM dibs_blocked"))
        places = self.engines.rows("SELECT job_id, priority, scheduled_at FROM dibs_blocked")
        order = [job_id for job_id, _, _ in sorted(places, key=lambda p: (-p[1], p[2], p[0]))]
        # Who is ready has the turn, though its queue is full; who needs less passes nobody.
        ready = [row[0] for row in self.engines.rows("SELECT job_id FROM dibs_ready")]
        short = {use.key for job_id in ready for use in self.jobs[job_id][1]}
        for job_id in order:
            queue, uses = self.jobs[job_id]
            if lines[job_id].startswith("kind:"):
                continue
            beside = self.has_room(uses) and not short & {use.key for use in uses}
            full = queue == "web" and self.in_web() >= WEB
            assert full or not beside, f"job {job_id} waits under {lines[job_id]}; there is room"
            short.add(lines[job_id])
        for job_id in ready:
            assert self.jobs[job_id][0] == "web"
            assert self.in_web() >= WEB

    # --- What must hold --------------------------------------------------------------------

    @invariant()
    def engines_agree(self) -> None:
        for sql in KEPT:
            self.engines.rows(sql)

    @invariant()
    def slots_are_those_of_what_runs(self) -> None:
        expected = {
            (use.key, job_id, self.running[job_id].number)
            for job_id in self.running
            for queue, uses in [self.jobs[job_id]]
            for use in [*uses, Use("queue:web", "", 1)]
            if use.name in self.most or (use.key == "queue:web" and queue == "web")
        }
        assert set(self.engines.rows("SELECT key, job_id, claim FROM dibs_slots")) == expected

    @invariant()
    def what_runs_runs(self) -> None:
        rows = self.engines.rows("SELECT job_id, claim FROM dibs_running")
        assert dict(rows) == {id_: claim.number for id_, claim in self.running.items()}

    def has_room(self, uses: tuple[Use, ...]) -> bool:
        for use in uses:
            if use.name in self.most:
                others = [u for id_ in self.running for u in self.jobs[id_][1] if u.key == use.key]
                if len(others) >= self.most[use.name]:
                    return False
        return self.bucket.tokens >= self.cost(uses)

    def in_web(self) -> int:
        return sum(self.jobs[id_][0] == "web" for id_ in self.running)

    @staticmethod
    def cost(uses: tuple[Use, ...]) -> int:
        return sum(use.cost for use in uses if use.name == "rate")

    # --- How it ends -----------------------------------------------------------------------

    def teardown(self) -> None:
        """Let one good worker run: whatever happened before, every job ends."""
        if sys.exc_info()[0] is not None:
            return  # a step failed already
        for _ in range(40 + 15 * len(self.jobs)):
            self.time_passes(10 * SECOND)
            self.beat("ann")
            self.tend("promote")
            self.tend("rescue")
            self.run_dry(KINDS)
            self.settle(
                [(pick, Returned()) for pick in range(len(self.running))] or [(0, Returned())]
            )
            if not self.engines.rows("SELECT id FROM dibs_jobs"):
                return
        raise AssertionError("not every job ended")


EXAMPLES = settings(
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def limited(
    sqlite_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[type[Limited]]:
    # Nobody is to be found only by the look that is there to be safe.
    monkeypatch.setattr("dibs.model.limits.RECHECK", NEVER)
    engines = Engines(sqlite_url, postgres_url, Limited.clock)
    Limited.engines = engines
    yield Limited
    engines.close()


@pytest.mark.timeout(900)  # after a failure, time to find the shortest history that fails
@pytest.mark.parametrize("examples", [10, pytest.param(200, marks=[pytest.mark.chaos])])
def test_no_limit_is_exceeded_and_nobody_waits_beside_room(limited: type[Limited], examples: int):
    run_histories(limited, settings=settings(EXAMPLES, max_examples=examples))
