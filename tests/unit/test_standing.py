"""Where a job stands: how many are ahead of it, its level's share, and when it may start."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dibs.model.aging import Aging
from dibs.model.job import State
from dibs.model.lines import Demand, Line, Serving
from dibs.model.ordering import order
from dibs.model.queues import STRICT, QueuePolicy
from dibs.model.standing import (
    MINUTE,
    Pace,
    Spot,
    bounds,
    pace_of,
    share_of,
    start_after,
    window_start,
)
from dibs.model.times import SECOND
from dibs.model.verdicts import Verdict, judge, obstacle_of

NOW = 1_000 * SECOND
PRIORITIES = st.integers(-3, 6)

agings = st.builds(
    Aging,
    after=st.integers(0, 4),
    every=st.integers(1, 3),
    step=st.integers(1, 3),
    ceiling=st.integers(-2, 7),
)
weights = st.dictionaries(PRIORITIES, st.integers(1, 9), min_size=1, max_size=3)
policies = st.builds(QueuePolicy, st.none() | agings, st.just({}) | weights)
# Seconds that jobs have waited: some for the same time, some not at all, some not even due.
jobs = st.lists(st.tuples(PRIORITIES, st.integers(-2, 10)), min_size=1, max_size=25)


def queue(jobs: list[tuple[int, int]]) -> list[Spot]:
    return sorted(Spot(p, NOW - waited * SECOND, n) for n, (p, waited) in enumerate(jobs, 1))


def counted(spots: list[Spot], limits: list[Spot]) -> int:
    """Count as the database does."""
    ends = {limit.priority: limit[1:] for limit in limits}
    return sum(spot[1:] < ends.get(spot.priority, (float("-inf"), 0)) for spot in spots)


@settings(max_examples=500)
@given(jobs, policies, st.data())
def test_as_many_are_ahead_as_go_first(
    jobs: list[tuple[int, int]], policy: QueuePolicy, data: st.DataObject
):
    spots = queue(jobs)
    mine = data.draw(st.sampled_from(spots))
    priorities = sorted({spot.priority for spot in spots}, reverse=True)
    lines = [Line("q", p, [spot[1:] for spot in spots if spot.priority == p]) for p in priorities]
    turns = order(lines, Serving(("q",)), Demand(len(spots)), {"q": policy}, NOW, {})
    assert len(turns) == len(spots)
    before = turns[: [turn.job_id for turn in turns].index(mine.job_id)]
    if policy.weights:
        level = policy.level(mine.priority)
        before = [turn for turn in before if policy.level(turn.priority) == level]
    assert counted(spots, bounds(priorities, policy, mine, NOW)) == len(before)


class TestShare:
    POLICY = QueuePolicy(weights={20: 6, 10: 3, 0: 1})

    @pytest.mark.parametrize(
        ("priority", "lines", "share"),
        [(0, [25, 15, 0], 0.1), (12, [25, 0], 0.3), (12, [], 1.0), (-5, [3, 20], 1 / 7)],
    )
    def test_is_taken_of_those_that_have_work(self, priority: int, lines: list[int], share: float):
        assert share_of(priority, self.POLICY, lines) == pytest.approx(share)

    def test_without_weights(self):
        assert share_of(0, STRICT, [0, 10]) is None


class TestPace:
    NOW = 10 * MINUTE + 30 * SECOND

    def test_over_the_whole_window(self):
        first = window_start(self.NOW)
        pace = pace_of([(0, 270, first), (10, 540, first + 1)], 10, self.NOW)
        assert pace == Pace(queue=3.0, line=2.0, window=timedelta(minutes=4, seconds=30))

    def test_since_the_first_minute_in_which_something_ended(self):
        assert pace_of([(0, 90, 9)], 0, self.NOW) == Pace(1.0, 1.0, timedelta(seconds=90))

    def test_of_another_line(self):
        assert pace_of([(0, 90, 9)], 5, self.NOW).line == 0

    def test_of_a_minute_that_has_just_begun(self):
        assert pace_of([(0, 1, 10)], 0, 10 * MINUTE) == Pace(0.1, 0.1, timedelta(seconds=10))

    def test_of_nothing(self):
        assert pace_of([], 0, self.NOW) == Pace(0, 0, timedelta(minutes=4, seconds=30))


class TestStart:
    PACE = Pace(queue=4.0, line=1.0, window=timedelta(minutes=4))

    def test_by_the_pace_of_the_queue(self):
        assert start_after(39, self.PACE, None) == timedelta(seconds=10)

    def test_by_the_share_of_the_level(self):
        assert start_after(39, self.PACE, 0.25) == timedelta(seconds=40)

    def test_where_nothing_moves(self):
        assert start_after(0, Pace(0, 0, timedelta(minutes=4)), None) is None


@pytest.mark.parametrize(
    ("workers", "obstacle"),
    [
        ([], Verdict.NO_WORKERS),
        ([Verdict.QUEUE_UNSERVED, Verdict.QUEUE_UNSERVED], Verdict.QUEUE_UNSERVED),
        ([Verdict.KIND_UNKNOWN, Verdict.QUEUE_UNSERVED], Verdict.KIND_UNKNOWN),
        ([Verdict.KIND_UNKNOWN, Verdict.PRIORITY_OUT_OF_RANGE], Verdict.PRIORITY_OUT_OF_RANGE),
        ([Verdict.KIND_UNKNOWN, None], None),
    ],
)
def test_the_nearest_worker_names_the_obstacle(
    workers: list[Verdict | None], obstacle: Verdict | None
):
    assert obstacle_of(workers) == obstacle


def test_a_job_that_is_not_due_waits_for_its_time_whoever_is_there():
    for obstacle in (None, Verdict.NO_WORKERS):
        verdict = judge(State.SCHEDULED, due=False, obstacle=obstacle, next_up=False, lost=False)
        assert verdict is Verdict.NOT_DUE
