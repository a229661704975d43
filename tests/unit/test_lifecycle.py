"""Where a job goes after an attempt: every decision keeps to the table of transitions."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs.model.backoff import Backoff
from dibs.model.job import WAITING, AttemptOutcome, DeadReason, State
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
from dibs.model.retry import Retry, error_names

ENDED = frozenset({State.COMPLETED, State.CANCELLED, State.DEAD})
BOOM = Failed("ValueError", "boom", "traceback")
NO_JITTER = Retry(backoff=Backoff.exponential(base=2, factor=3, max=100, jitter=0))
FAILED = AttemptOutcome.FAILED

failures = st.builds(
    Failed, st.just("ValueError"), st.text(), st.text(), st.none() | st.sampled_from(DeadReason),
    st.sampled_from([(), ("builtins.ValueError",)]), st.none() | st.integers(0, 10**12),
    st.booleans(),
)  # fmt: skip
outcomes = st.one_of(
    st.builds(Returned, st.none() | st.just("1")),
    st.builds(CalledOff, st.none() | st.text()),
    st.builds(Snoozed, st.integers(0, 10**12)),
    st.builds(Interrupted, st.booleans()),
    st.builds(WorkerLost, st.integers(0, 9), st.integers(1, 9)),
    failures,
)


@st.composite
def claims(draw: st.DrawFn) -> Claim:
    most = draw(st.integers(1, 20))
    number = st.integers(1)
    return Claim(draw(number), draw(number), "w", draw(st.integers(1, most)), most)


def after(claim: Claim, outcome: Outcome) -> Settlement:
    return settle(claim, outcome, NO_JITTER, Random(0))


def claimed(attempt: int = 1, max_attempts: int = 5) -> Claim:
    return Claim(7, 3, "w", attempt, max_attempts)


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

    def test_ended_jobs_never_change_but_by_a_replay(self):
        assert [verb for verb, (start, _) in TRANSITIONS.items() if start & ENDED] == ["replay"]
        assert TRANSITIONS["replay"][0] == {State.DEAD}

    def test_only_a_claim_starts_a_job(self):
        assert [verb for verb, (_, to) in TRANSITIONS.items() if State.RUNNING in to] == ["claim"]

    def test_no_state_is_a_dead_end_but_the_last_ones(self):
        left = frozenset().union(*(start for start, _ in TRANSITIONS.values()))
        assert frozenset(State) - left == ENDED - {State.DEAD}

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
    assert after(claimed(), Snoozed(9)) == Requeue(
        claimed(), "snooze", 9, counted=False, record=AttemptOutcome.SNOOZED
    )


def test_a_release_keeps_its_place_and_costs_no_attempt():
    never, began = after(claimed(), Interrupted()), after(claimed(), Interrupted(began=True))
    assert never == Requeue(claimed(), "release", None, counted=False, record=None)
    assert began == Requeue(
        claimed(), "release", None, counted=False, record=AttemptOutcome.RELEASED
    )


class TestFailing:
    @pytest.mark.parametrize(("attempt", "seconds"), [(1, 2), (2, 6), (3, 18), (4, 54)])
    def test_retries_after_the_backoff(self, attempt: int, seconds: int):
        claim = claimed(attempt)
        delay = seconds * 1_000_000
        retry = Requeue(claim, "retry", delay, counted=True, record=FAILED, failure=BOOM)
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

    def test_waits_as_long_as_the_error_says(self):
        asked = replace(BOOM, retry_after=7)
        settlement = after(claimed(1), asked)
        assert isinstance(settlement, Requeue)
        assert (settlement.delay, settlement.counted) == (7, True)
        assert isinstance(after(claimed(5, max_attempts=5), asked), Bury)

    def test_buries_at_once_where_the_rules_give_up(self):
        rules = Retry(give_up_on=[LookupError])
        missing = Failed("KeyError", "x", errors=error_names(KeyError("x")))
        settlement = settle(claimed(1), missing, rules, Random(0))
        assert settlement == Bury(claimed(1), DeadReason.GAVE_UP, missing)
        asked = replace(missing, retry_after=7)
        assert isinstance(settle(claimed(1), asked, rules, Random(0)), Bury)

    def test_a_timeout_is_a_failure_with_its_own_name(self):
        late = Failed("JobTimeoutError", "too long", timed_out=True)
        retried = after(claimed(1), late)
        assert isinstance(retried, Requeue)
        assert (retried.record, retried.counted) == (AttemptOutcome.TIMED_OUT, True)
        last = claimed(5, max_attempts=5)
        assert after(last, late) == Bury(last, DeadReason.TIMEOUT, late, AttemptOutcome.TIMED_OUT)

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
        crashed = AttemptOutcome.CRASHED
        back = Requeue(claimed(), "rescue", None, counted=False, record=crashed, crashed=True)
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
