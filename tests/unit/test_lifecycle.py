"""Where a job goes after an attempt: every decision keeps to the table of transitions."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs.model.backoff import Backoff
from dibs.model.job import WAITING, DeadReason, State
from dibs.model.lifecycle import (
    TRANSITIONS,
    Bury,
    CalledOff,
    Claim,
    Failed,
    Finish,
    Interrupted,
    Outcome,
    Requeue,
    Returned,
    Settlement,
    Snoozed,
    WorkerLost,
    settle,
)

ENDED = frozenset({State.COMPLETED, State.CANCELLED, State.DEAD})
BOOM = Failed("ValueError", "boom", "traceback")
NO_JITTER = Backoff.exponential(base=2, factor=3, max=100, jitter=0)

failures = st.builds(
    Failed, st.just("ValueError"), st.text(), st.text(), st.none() | st.sampled_from(DeadReason)
)
outcomes = st.one_of(
    st.builds(Returned, st.none() | st.just("1")),
    st.builds(CalledOff, st.none() | st.text()),
    st.builds(Snoozed, st.integers(0, 10**12)),
    st.just(Interrupted()),
    st.builds(WorkerLost, st.integers(0, 9), st.integers(1, 9)),
    failures,
)


@st.composite
def claims(draw: st.DrawFn) -> Claim:
    most = draw(st.integers(1, 20))
    return Claim(draw(st.integers(1)), draw(st.integers(1)), draw(st.integers(1, most)), most)


def after(claim: Claim, outcome: Outcome) -> Settlement:
    return settle(claim, outcome, NO_JITTER, Random(0))


def claimed(attempt: int = 1, max_attempts: int = 5) -> Claim:
    return Claim(7, 3, attempt, max_attempts)


def step_of(settlement: Settlement) -> tuple[str, State]:
    """Return the verb a settlement stands for, and the state it leads to."""
    match settlement:
        case Finish(state=state):
            return {State.COMPLETED: "complete", State.CANCELLED: "cancel"}[state], state
        case Requeue(verb=verb, delay=delay):
            return verb, State.SCHEDULED if delay else State.READY
        case Bury(crashed=crashed):
            return "rescue" if crashed else "bury", State.DEAD


class TestTransitions:
    def test_every_state_can_be_reached(self):
        reached = frozenset().union(*(to for _, to in TRANSITIONS.values()))
        assert reached == frozenset(State)

    def test_ended_jobs_never_change(self):
        assert not [verb for verb, (start, _) in TRANSITIONS.items() if start & ENDED]

    def test_only_a_claim_starts_a_job(self):
        assert [verb for verb, (_, to) in TRANSITIONS.items() if State.RUNNING in to] == ["claim"]

    def test_no_state_is_a_dead_end_but_the_last_ones(self):
        left = frozenset().union(*(start for start, _ in TRANSITIONS.values()))
        assert frozenset(State) - left == ENDED

    def test_whatever_waits_can_be_cancelled(self):
        assert TRANSITIONS["cancel"][0] >= WAITING


@given(claims(), outcomes)
def test_every_settlement_keeps_to_the_table(claim: Claim, outcome: Outcome):
    settlement = after(claim, outcome)
    verb, state = step_of(settlement)
    start, to = TRANSITIONS[verb]
    assert State.RUNNING in start
    assert state in to
    assert settlement.claim == claim


def test_returning_completes_with_the_result():
    assert after(claimed(), Returned('"done"')) == Finish(
        claimed(), State.COMPLETED, result='"done"'
    )


def test_calling_off_cancels_with_the_reason():
    assert after(claimed(), CalledOff("sold out")) == Finish(
        claimed(), State.CANCELLED, reason="sold out"
    )


def test_a_snooze_waits_and_costs_no_attempt():
    assert after(claimed(), Snoozed(9)) == Requeue(claimed(), "snooze", 9, counted=False)


def test_a_release_keeps_its_place_and_costs_no_attempt():
    assert after(claimed(), Interrupted()) == Requeue(claimed(), "release", None, counted=False)


class TestFailing:
    @pytest.mark.parametrize(("attempt", "seconds"), [(1, 2), (2, 6), (3, 18), (4, 54)])
    def test_retries_after_the_backoff(self, attempt: int, seconds: int):
        claim = claimed(attempt)
        retry = Requeue(claim, "retry", seconds * 1_000_000, counted=True, failure=BOOM)
        assert after(claim, BOOM) == retry

    def test_buries_after_the_last_attempt(self):
        claim = claimed(5, max_attempts=5)
        assert after(claim, BOOM) == Bury(claim, DeadReason.ATTEMPTS_EXHAUSTED, BOOM)

    def test_buries_where_more_attempts_were_made_than_are_now_allowed(self):
        claim = claimed(6, max_attempts=5)
        assert isinstance(after(claim, BOOM), Bury)

    def test_buries_at_once_what_no_attempt_can_cure(self):
        final = Failed("ValidationError", "no", final=DeadReason.INVALID_ARGS)
        assert after(claimed(1), final) == Bury(claimed(1), DeadReason.INVALID_ARGS, final)

    @given(st.integers(1, 30))
    def test_runs_exactly_max_attempts_times(self, most: int):
        runs, ended = 0, False
        while not ended:
            runs += 1
            settlement = after(claimed(runs, most), BOOM)
            ended = isinstance(settlement, Bury)
            assert ended or settlement.counted
        assert runs == most


class TestLosingTheWorker:
    def test_goes_back_to_its_place_and_costs_no_attempt(self):
        back = Requeue(claimed(), "rescue", None, counted=False, crashed=True)
        assert after(claimed(), WorkerLost(crashes=0, max_crashes=3)) == back

    def test_does_not_mind_a_last_attempt(self):
        last = claimed(5, max_attempts=5)
        assert isinstance(after(last, WorkerLost(crashes=0, max_crashes=3)), Requeue)

    def test_buries_at_the_last_crash(self):
        settlement = after(claimed(), WorkerLost(crashes=2, max_crashes=3))
        assert isinstance(settlement, Bury)
        assert settlement.reason is DeadReason.WORKER_DIED
        assert settlement.crashed
        assert "3 times" in settlement.failure.message

    @given(st.integers(1, 20))
    def test_crashes_exactly_max_crashes_times(self, most: int):
        crashes = 1
        while isinstance(after(claimed(), WorkerLost(crashes - 1, most)), Requeue):
            crashes += 1
        assert crashes == most
