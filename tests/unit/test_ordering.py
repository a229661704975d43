"""The order of turns: strict, aging, weights, ranges and reserves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from dibs.model.aging import Aging
from dibs.model.lines import Demand, Line, Pop, Serving, Turn, pops
from dibs.model.ordering import Credit, order, ranks
from dibs.model.queues import QueuePolicy
from dibs.model.times import SECOND, to_micros
from tests.support import policy_oracle
from tests.support.policy_oracle import Owed, Waiting

QUEUES = ("mail", "sync", "web")
NOW = 1_000 * SECOND
PRIORITIES = st.sampled_from([-32768, -1, 0, 1, 5, 10, 20, 25, 32767])
WEIGHTS = st.integers(1, 5)

agings = st.builds(
    Aging,
    after=st.sampled_from([0, 1, 60, 600]),
    every=st.sampled_from([1, 30, 0.5]),
    step=st.sampled_from([1, 3, 40_000]),
    ceiling=st.sampled_from([-1, 5, 20, 32767]),
)
policies = st.dictionaries(
    st.sampled_from(QUEUES),
    st.builds(
        QueuePolicy,
        aging=st.none() | agings,
        weights=st.just({}) | st.dictionaries(PRIORITIES, WEIGHTS, max_size=4),
    ),
)
servings = st.builds(
    Serving,
    queues=st.permutations(QUEUES).flatmap(
        lambda names: st.integers(1, 3).map(lambda count: tuple(names[:count]))
    ),
    weights=st.just({}) | st.fixed_dictionaries(dict.fromkeys(QUEUES, WEIGHTS)),
    lowest=st.just(-32768) | PRIORITIES,
    highest=st.just(32767) | PRIORITIES,
)
rooms = st.just({}) | st.dictionaries(
    st.sampled_from([5, 20, 26, 10]), st.sampled_from([1, 2, 2, 5, 0, -1]), max_size=3
)
demands = st.builds(Demand, st.integers(0, 40), rooms)
AGES = st.sampled_from([0, 1, 2, 60, 61, 90, 600, 601, 700, -3])
places = st.tuples(st.sampled_from(QUEUES), PRIORITIES, AGES.map(lambda ago: NOW - ago * SECOND))
jobs_waiting = st.lists(places, max_size=40).map(
    lambda found: [Waiting(*place, job_id) for job_id, place in enumerate(found, 1)]
)


def lines(jobs: list[Waiting], most: int | None = None) -> list[Line]:
    """Return the lines of `jobs`, each with so many heads."""
    found: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for job in sorted(jobs, key=lambda job: (job.scheduled_at, job.id)):
        found.setdefault((job.queue, job.priority), []).append((job.scheduled_at, job.id))
    return [Line(*key, heads[:most]) for key, heads in found.items()]


def ids(turns: list[Turn]) -> list[int]:
    return [turn.job_id for turn in turns]


class TestStrict:
    def test_the_urgent_first_then_the_longest_due(self):
        def at(hour: int, minute: int, second: int) -> int:
            return to_micros(datetime(2026, 5, 4, hour, minute, second, tzinfo=UTC))

        analytics_sync = Waiting("default", 0, at(9, 55, 0), 1)
        order_confirmation = Waiting("default", 10, at(10, 0, 3), 2)
        payment_retry = Waiting("default", 10, at(10, 0, 1), 3)
        password_reset = Waiting("default", 20, at(10, 0, 5), 4)
        jobs = [analytics_sync, order_confirmation, payment_retry, password_reset]

        turns = order(lines(jobs), Serving(("default",)), Demand(10), {}, at(10, 0, 10), {})
        expected = [password_reset, payment_retry, order_confirmation, analytics_sync]
        assert ids(turns) == [job.id for job in expected]

    @given(jobs_waiting)
    def test_priority_before_time_and_time_before_id_in_all_queues_together(
        self, jobs: list[Waiting]
    ):
        turns = order(lines(jobs), Serving(QUEUES), Demand(100), {}, NOW, {})
        expected = sorted((-job.priority, job.scheduled_at, job.id) for job in jobs)
        assert [turn[:3] for turn in turns] == expected


class TestEveryPolicy:
    @settings(max_examples=400)
    @given(jobs_waiting, servings, demands, policies)
    def test_as_if_all_jobs_were_looked_at_for_each_turn(
        self,
        jobs: list[Waiting],
        serving: Serving,
        demand: Demand,
        policies: dict[str, QueuePolicy],
    ):
        """Twice, since what weights owe after the first time counts for the second."""
        credit: Credit = {}
        owed: Owed = {}
        for _ in range(2):
            turns = order(lines(jobs), serving, demand, policies, NOW, credit)
            expected = policy_oracle.next_jobs(jobs, serving, demand, policies, NOW, owed)
            assert [Waiting(t.queue, t.priority, t.scheduled_at, t.job_id) for t in turns] == (
                expected
            )
            assert ranks(turns, serving, policies) == policy_oracle.ranks(
                expected, serving, policies, NOW
            )
            jobs = [job for job in jobs if job not in expected]

    @given(jobs_waiting, servings, demands, policies)
    def test_of_each_line_and_where_order_is_strict_of_a_queue_so_many_heads_are_enough(
        self,
        jobs: list[Waiting],
        serving: Serving,
        demand: Demand,
        policies: dict[str, QueuePolicy],
    ):
        whole = order(lines(jobs), serving, demand, policies, NOW, {})
        front: list[Line] = []
        found: Counter[str] = Counter()
        for line in sorted(lines(jobs, demand.count), key=lambda line: -line.priority):
            if not serving.above(demand.lowest).serves(line.queue, line.priority):
                continue
            if line.queue in policies or found[line.queue] < demand.count:
                front.append(line)
                found[line.queue] += len(line.heads)
        heads = order(front, serving, demand, policies, NOW, {})
        assert heads == whole

    @given(jobs_waiting, servings, demands, policies)
    def test_one_by_one_comes_to_the_same_as_all_at_once(
        self,
        jobs: list[Waiting],
        serving: Serving,
        demand: Demand,
        policies: dict[str, QueuePolicy],
    ):
        at_once, step_by_step = Credit(), Credit()
        whole = order(lines(jobs), serving, demand, policies, NOW, at_once)
        single = []
        for _ in range(demand.count):
            one = order(lines(jobs), serving, replace(demand, count=1), policies, NOW, step_by_step)
            if not one:
                break
            single += one
            jobs = [job for job in jobs if job.id != one[0].job_id]
            below = {
                limit: room - (one[0].priority < limit) for limit, room in demand.below.items()
            }
            demand = replace(demand, below=below)
        assert single == whole
        assert step_by_step == at_once or not whole

    @given(jobs_waiting, servings, demands, policies)
    def test_each_line_gives_from_its_front_and_nothing_twice(
        self,
        jobs: list[Waiting],
        serving: Serving,
        demand: Demand,
        policies: dict[str, QueuePolicy],
    ):
        turns = order(lines(jobs), serving, demand, policies, NOW, {})
        assert max(Counter(ids(turns)).values(), default=1) == 1
        fronts = []
        for queue, priority, heads in lines(jobs):
            own = [t for t in turns if (t.queue, t.priority) == (queue, priority)]
            assert [(t.scheduled_at, t.job_id) for t in own] == heads[: len(own)]
            if own:
                fronts.append(Pop(queue, priority, *heads[0], len(own)))
        assert sorted(pops(turns)) == sorted(fronts)

    @given(jobs_waiting, servings, demands, policies)
    def test_no_turn_is_wasted_where_nothing_is_reserved(
        self,
        jobs: list[Waiting],
        serving: Serving,
        demand: Demand,
        policies: dict[str, QueuePolicy],
    ):
        turns = order(lines(jobs), serving, Demand(demand.count), policies, NOW, {})
        served = [job for job in jobs if serving.serves(job.queue, job.priority)]
        assert len(turns) == min(demand.count, len(served))


class TestReserve:
    def test_the_lines_below_are_left_out_once_their_slots_are_full(self):
        jobs = [Waiting("mail", 0, n, n) for n in range(1, 6)]
        jobs += [Waiting("mail", 10, n, n) for n in range(6, 8)]
        turns = order(lines(jobs), Serving(("mail",)), Demand(10, {10: 3}), {}, NOW, {})
        assert ids(turns) == [6, 7, 1, 2, 3]

    def test_of_two_limits_that_are_reached_at_once_the_higher_counts(self):
        jobs = [Waiting("mail", priority, n, n) for n, priority in enumerate([25, 0, 15, 30], 1)]
        weights = {"mail": QueuePolicy(weights={20: 1, 10: 1, 0: 9})}
        for below in ({20: 1, 10: 1}, {10: 1, 20: 1}):
            turns = order(lines(jobs), Serving(("mail",)), Demand(4, below), weights, NOW, {})
            assert ids(turns) == [2, 4, 1]

    def test_what_has_aged_still_waits_for_a_slot_of_its_own(self):
        aging = {"mail": QueuePolicy(Aging(after=1, every=1, ceiling=20))}
        jobs = [Waiting("mail", 0, 0, 1), Waiting("mail", 10, NOW, 2)]
        serving = Serving(("mail",))
        assert ids(order(lines(jobs), serving, Demand(2), aging, NOW, {})) == [1, 2]
        assert ids(order(lines(jobs), serving, Demand(2, {10: 0}), aging, NOW, {})) == [2]

    def test_shares_of_levels_without_room_fall_to_the_others(self):
        weights = {"mail": QueuePolicy(weights={10: 1, 0: 3})}
        jobs = [Waiting("mail", 10 * (n % 2), n, n) for n in range(1, 21)]
        demand = Demand(10, {10: 2})
        turns = order(lines(jobs), Serving(("mail",)), demand, weights, NOW, {})
        assert Counter(turn.priority for turn in turns) == {10: 8, 0: 2}


WEIGHTED = {"mail": QueuePolicy(weights={10: 1, 0: 1})}
MAIL_AND_WEB = [
    *[Waiting("mail", 20, n, n) for n in range(1, 4)],
    *[Waiting("mail", 0, n, n) for n in range(4, 7)],
    *[Waiting("web", 10, n, n) for n in range(7, 10)],
]


class TestWeightsAmongQueues:
    """Weights of a queue's levels speak inside that queue only."""

    def test_a_queue_with_weights_competes_by_its_most_urgent_job(self):
        """Mail has a turn as long as its 20 waits, whomever its weights let in with it."""
        serving = Serving(("mail", "web"))
        turns = order(lines(MAIL_AND_WEB), serving, Demand(9), WEIGHTED, NOW, {})
        assert [(t.queue, t.priority) for t in turns] == [
            ("mail", 20), ("mail", 0), ("mail", 20), ("mail", 0), ("mail", 20),
            ("web", 10), ("web", 10), ("web", 10),
            ("mail", 0),
        ]  # fmt: skip

    def test_weights_of_queues_leave_priority_to_each_queue(self):
        serving = Serving(("mail", "web"), {"mail": 1, "web": 2})
        turns = order(lines(MAIL_AND_WEB), serving, Demand(6), WEIGHTED, NOW, {})
        assert [(t.queue, t.priority) for t in turns] == [
            ("web", 10), ("mail", 20), ("web", 10), ("web", 10), ("mail", 0), ("mail", 20)
        ]  # fmt: skip

    def test_where_weights_have_a_say_all_rank_alike(self):
        """Or what a worker holds would be sorted by urgency again."""
        serving = Serving(("mail", "web"))
        turns = order(lines(MAIL_AND_WEB), serving, Demand(9), WEIGHTED, NOW, {})
        assert ranks(turns, serving, WEIGHTED) == [0] * 9
        assert ranks(turns[5:8], serving, WEIGHTED) == [10, 10, 10]

    def test_changed_weights_owe_nothing_of_before(self):
        """It was counted in the units of those weights."""
        jobs = [Waiting("mail", n % 2, n, n) for n in range(200)]
        credit: Credit = {}
        for weights in ({1: 1000, 0: 1000}, {1: 8, 0: 1}):
            policies = {"mail": QueuePolicy(weights=weights)}
            turns = order(lines(jobs), Serving(("mail",)), Demand(9), policies, NOW, credit)
        assert [turn.priority for turn in turns].count(0) == 1
