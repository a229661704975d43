"""Several claimers at once: each claim takes the front of lines, and together they take all once.

Which of two overlapping claims came first cannot be said. What can: where a claim took a job, those
before it in the line had been taken by then, or were being taken: by claims that had begun.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from dibs import Dibs
from dibs.model.aging import Aging
from dibs.model.job import NewJob
from dibs.model.lifecycle import Interrupted, Returned, settle
from dibs.model.lines import Demand, Serving
from dibs.model.marks import SWEEP_SECONDS, TOLD_SECONDS, Marks
from dibs.model.ordering import Credit
from dibs.model.queues import QueuePolicy, policy_to_json
from dibs.model.retry import Retry
from dibs.model.times import SECOND
from dibs.store import Role, Store, open_store
from dibs.store.ops.claim import job_claim
from dibs.store.ops.claimed import Claimed
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.settle import job_settle
from tests.support.database import misplaced, query
from tests.support.waiting import WITHIN

CLAIMERS = 4
JOBS = 2000
QUEUES = ("mail", "web")
PRIORITIES = (-3, 0, 10, 20)
AGED = QueuePolicy(Aging(after=60, every=60, ceiling=15))
SHARED = QueuePolicy(weights={10: 3, 0: 1})
SEED = 20_240_503


@pytest.fixture
def store(new_app: Callable[..., Dibs], database_url: str) -> Iterator[Store]:
    new_app()
    store = open_store(database_url, Role.WORKER)
    yield store
    store.close()


def enqueue(store: Store, count: int, chance: random.Random) -> None:
    """Enqueue jobs that have been due for up to an hour, many of them at the same moment."""
    now = time.time_ns() // 1000
    store.run(
        job_enqueue(
            [
                NewJob(
                    "note",
                    "{}",
                    chance.choice(QUEUES),
                    chance.choice(PRIORITIES),
                    scheduled_at=now - chance.randrange(600) * 6 * SECOND,
                )
                for _ in range(count)
            ]
        )
    )


def configure(url: str, policy: QueuePolicy) -> None:
    for queue in QUEUES:
        query(
            url,
            "INSERT INTO dibs_queues (name, declared, updated_at) "
            f"VALUES ('{queue}', '{policy_to_json(policy)}', 0)",
        )


@dataclass
class Taken:
    """One claim: when it ran, and what it took."""

    began: float
    ended: float
    jobs: list[Claimed]


@dataclass
class Claimer(threading.Thread):
    """Claims until nothing is left; gives back some of it, once each, and completes the rest."""

    url: str
    number: int
    start_line: threading.Barrier
    gives_back: bool = False
    claims: list[Taken] = field(default_factory=list)
    gave: set[int] = field(default_factory=set)
    problem: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__(name=f"claimer-{self.number}", daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        store = open_store(self.url, Role.WORKER)
        try:
            self.start_line.wait(WITHIN)
            self._drain(store)
        except BaseException as error:
            self.problem = error
        finally:
            store.close()

    def _drain(self, store: Store) -> None:
        chance = random.Random(SEED + self.number)
        marks, credit = Marks(), Credit()
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            demand = Demand(chance.choice([1, 3, 10, 40]))
            began = time.monotonic()
            used = marks.use(began)
            found = store.run(job_claim(self.name, Serving(QUEUES), ["note"], demand, credit, used))
            self.claims.append(Taken(began, time.monotonic(), found.jobs))
            credit = found.credit
            marks.note(found.turns, dry=len(found.turns) < demand.count)
            if found.jobs:
                self._settle(store, found.jobs, chance)
            elif not found.turns and not used:
                return
        raise AssertionError(f"{self.name} did not come to an end")

    def _settle(self, store: Store, jobs: list[Claimed], chance: random.Random) -> None:
        batch = []
        for job in jobs:
            back = self.gives_back and job.id not in self.gave and chance.random() < 0.3
            if back:
                self.gave.add(job.id)
            outcome = Interrupted() if back else Returned()
            batch.append(settle(job.ticket, outcome, Retry(), chance))
        assert store.run(job_settle(batch)).moved == {job.id for job in jobs}


def drained(
    store: Store, url: str, policy: QueuePolicy | None, *, gives_back: bool = False
) -> tuple[list[Claimer], list[Taken]]:
    """Enqueue jobs and have several claimers take them all; return these and their claims."""
    print(f"seed {SEED}")
    if policy is not None:
        configure(url, policy)
    enqueue(store, JOBS, random.Random(SEED))
    start_line = threading.Barrier(CLAIMERS)
    claimers = [Claimer(url, n, start_line, gives_back) for n in range(CLAIMERS)]
    for claimer in claimers:
        claimer.start()
    for claimer in claimers:
        claimer.join(2 * WITHIN)
    assert [claimer.problem for claimer in claimers] == [None] * CLAIMERS
    assert sum(bool(claimer.claims) for claimer in claimers) == CLAIMERS
    return claimers, [claim for claimer in claimers for claim in claimer.claims]


def keep_their_lines_order(claims: list[Taken]) -> bool:
    """Return whether each claim's jobs of a line are in the line's order."""
    for claim in claims:
        lines: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for job in claim.jobs:
            lines.setdefault((job.queue, job.priority), []).append((job.scheduled_at, job.id))
        if any(a >= b for line in lines.values() for a, b in pairwise(line)):
            return False
    return True


Standing = tuple[int, ...]


def place(job: Claimed) -> Standing:
    """Return where a job stands in its line, or among all of its queue in strict order."""
    return (-job.priority, job.scheduled_at, job.id)


def overtaken(
    claims: list[Taken],
    line: Callable[[Claimed], object],
    standing: Callable[[Claimed], Standing] = place,
) -> list[tuple[Standing, Standing]]:
    """Return where a claim took from a line and left a job before it to a claim not yet begun."""
    lines: dict[object, dict[Standing, list[Taken]]] = {}
    for claim in claims:
        for job in claim.jobs:
            lines.setdefault(line(job), {}).setdefault(standing(job), []).append(claim)
    found = []
    for own in lines.values():
        left, latest = next(iter(own)), float("-inf")
        for here in sorted(own):
            if latest > min(claim.ended for claim in own[here]):
                found.append((left, here))
            began = max(claim.began for claim in own[here])
            if began > latest:
                left, latest = here, began
    return found


@pytest.mark.parametrize("policy", [None, AGED, SHARED], ids=["strict", "aging", "weights"])
def test_each_claim_takes_the_front_of_lines(
    store: Store, database_url: str, policy: QueuePolicy | None
):
    _, claims = drained(store, database_url, policy)
    assert Counter(job.id for claim in claims for job in claim.jobs) == Counter(range(1, JOBS + 1))
    assert keep_their_lines_order(claims)
    assert overtaken(claims, lambda job: (job.queue, job.priority)) == []
    if policy is None:
        # Strictly by priority, in a queue and across them. In lines of one priority in two queues
        # a claim takes as many from each as it saw there, whoever took meanwhile what it saw.
        assert overtaken(claims, lambda job: job.queue) == []
        assert overtaken(claims, lambda _: "all", lambda job: (-job.priority,)) == []
    assert query(database_url, "SELECT COUNT(*) FROM dibs_jobs") == [(0,)]
    assert misplaced(database_url) == []


@pytest.mark.parametrize("policy", [None, AGED], ids=["strict", "aging"])
def test_what_is_given_back_below_the_marks_of_others_is_found_again(
    store: Store, database_url: str, policy: QueuePolicy | None
):
    claimers, claims = drained(store, database_url, policy, gives_back=True)
    given = Counter(id_ for claimer in claimers for id_ in claimer.gave)
    assert sum(given.values()) > JOBS / 10
    claimed = Counter(job.id for claim in claims for job in claim.jobs)
    assert claimed == Counter(range(1, JOBS + 1)) + given  # each once, and again where given back
    numbers = {(job.id, job.claim) for claim in claims for job in claim.jobs}
    assert len(numbers) == sum(claimed.values())
    assert keep_their_lines_order(claims)
    assert query(database_url, "SELECT state, COUNT(*) FROM dibs_history GROUP BY state") == [
        ("completed", JOBS)
    ]
    assert misplaced(database_url) == []


class TestOneClaimer:
    """With a clock of its own for the marks, so nobody waits."""

    @pytest.fixture
    def take(self, store: Store) -> Callable[..., list[int]]:
        store.run(job_enqueue([NewJob("note", "{}", "mail") for _ in range(10)]))
        self.marks = Marks()

        def take(now: float, count: int) -> list[int]:
            demand, used = Demand(count), self.marks.use(now)
            claim = job_claim("ann", Serving(("mail",)), ["note"], demand, marks=used)
            found = store.run(claim)
            self.marks.note(found.turns, dry=len(found.turns) < count)
            self.last = found.jobs
            return [job.id for job in found.jobs]

        return take

    def give_back(self, store: Store) -> None:
        chance = random.Random(0)
        first = settle(self.last[0].ticket, Interrupted(), Retry(), chance)
        assert store.run(job_settle([first])).moved == {self.last[0].id}

    def test_goes_on_where_it_was(self, take: Callable[..., list[int]]):
        assert [take(0.0, 3), take(0.01, 3), take(0.02, 3)] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]

    @pytest.mark.parametrize(
        ("told", "pause"), [(False, SWEEP_SECONDS), (True, TOLD_SECONDS * 1.1)]
    )
    def test_finds_what_came_back_at_its_next_look_at_the_front(
        self, store: Store, take: Callable[..., list[int]], told: bool, pause: float
    ):
        assert take(0.0, 3) == [1, 2, 3]
        self.give_back(store)
        if told:
            self.marks.tell()
        assert take(pause, 3) == [1, 4, 5]

    def test_finds_it_at_once_where_the_line_ran_dry(
        self, store: Store, take: Callable[..., list[int]]
    ):
        assert take(0.0, 3) == [1, 2, 3]
        self.give_back(store)
        found = take(0.01, 20)
        assert [*found, *take(0.02, 20)] in ([1, *range(4, 11)], [*range(4, 11), 1])
