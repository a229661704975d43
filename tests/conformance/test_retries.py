"""Retries as declared and as said per call: which errors, which delays, how often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dibs import (
    Backoff,
    DeadReason,
    GiveUp,
    InvalidJobError,
    Job,
    Retry,
    RetryAfter,
    State,
)
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class TooManyRequestsError(Exception):
    def __init__(self, retry_after: Any) -> None:
        super().__init__("429")
        self.retry_after = retry_after


@pytest.fixture
def still(new_face: OpenFace) -> Face:
    """An app whose clock stands still, so that delays can be read off."""
    return new_face(clock=lambda: NOON)


def failing(face: Face, error: Exception, **options: Any) -> Any:
    def fail() -> None:
        raise error

    return face.handler(fail, **options)


def delay(job: Job) -> float:
    assert job.state is State.SCHEDULED, job
    return (job.scheduled_at - NOON).total_seconds()


def after_one_failure(face: Face, enqueuer: Any) -> Job:
    job = enqueuer.enqueue()
    face.work()
    return face.jobs.get(job.id)


class TestBackoff:
    @pytest.mark.parametrize(
        ("backoff", "seconds"),
        [
            (Backoff.fixed(40), 40),
            (Backoff.linear(30), 30),
            (Backoff.exponential(base=7, jitter=0), 7),
            (lambda failures: timedelta(minutes=failures), 60),
        ],
    )
    def test_of_the_handler(self, still: Face, backoff: Any, seconds: int):
        job = after_one_failure(still, failing(still, OSError(), retry=Retry(backoff=backoff)))
        assert (delay(job), job.attempt) == (seconds, 1)

    def test_of_the_call_wins(self, still: Face):
        handler = failing(still, OSError(), retry=Retry(backoff=Backoff.fixed(40)))
        own = handler.using(retry=Retry(backoff=Backoff.linear(5)))
        assert delay(after_one_failure(still, own)) == 5
        assert delay(after_one_failure(still, handler)) == 40

    def test_a_function_that_fails_is_replaced_by_the_default(self, still: Face):
        def broken(failures: int) -> float:
            raise ZeroDivisionError

        job = after_one_failure(still, failing(still, OSError(), retry=Retry(backoff=broken)))
        assert 7.5 <= delay(job) <= 15

    def test_a_function_cannot_go_with_one_job(self, still: Face):
        handler = failing(still, OSError())
        with pytest.raises(InvalidJobError, match="a function cannot be stored"):
            handler.using(retry=Retry(backoff=lambda _: 1)).enqueue()
        assert still.rows() == (0, 0)


class TestRules:
    def test_give_up_on_buries_at_once(self, still: Face):
        handler = failing(still, KeyError("x"), retry=Retry(give_up_on=[LookupError]))
        dead = after_one_failure(still, handler)
        assert (dead.state, dead.reason, dead.attempt) == (State.DEAD, DeadReason.GAVE_UP, 1)

    def test_retry_on_is_all_that_is_tried_again(self, still: Face):
        rules = Retry(retry_on=[ConnectionError])
        dead = after_one_failure(still, failing(still, KeyError("x"), retry=rules))
        assert dead.reason == DeadReason.GAVE_UP
        lost = failing(still, ConnectionResetError(), kind="lost", retry=rules)
        assert after_one_failure(still, lost).state is State.SCHEDULED

    def test_of_the_call_win(self, still: Face):
        handler = failing(still, KeyError("x"))
        own = handler.using(retry=Retry(give_up_on=[KeyError]))
        assert after_one_failure(still, own).reason == DeadReason.GAVE_UP
        assert after_one_failure(still, handler).state is State.SCHEDULED

    def test_give_up_is_raised_by_the_handler(self, still: Face):
        dead = after_one_failure(still, failing(still, GiveUp("the customer is gone")))
        assert (dead.reason, dead.error) == (DeadReason.GAVE_UP, "the customer is gone")


class TestMaxAttempts:
    @pytest.mark.parametrize(
        ("options", "most"),
        [
            ({}, 5),
            ({"retry": Retry()}, 5),
            ({"retry": Retry(max_attempts=8)}, 8),
            ({"retry": Retry(max_attempts=8), "max_attempts": 2}, 2),
        ],
        ids=str,
    )
    def test_as_declared(self, face: Face, options: dict[str, Any], most: int):
        assert failing(face, OSError(), **options).enqueue().max_attempts == most

    def test_of_the_call(self, face: Face):
        handler = failing(face, OSError(), max_attempts=2)
        assert handler.using(retry=Retry(max_attempts=9)).enqueue().max_attempts == 9
        assert handler.using(retry=Retry()).enqueue().max_attempts == 2


class TestRetryAfter:
    @pytest.mark.parametrize("error", [RetryAfter(90), TooManyRequestsError(timedelta(seconds=90))])
    def test_names_the_delay(self, still: Face, error: Exception):
        job = after_one_failure(still, failing(still, error))
        assert (delay(job), job.attempt) == (90, 1)

    def test_is_tried_again_whatever_the_rules_say(self, still: Face):
        rules = Retry(retry_on=[], give_up_on=[Exception])
        job = after_one_failure(still, failing(still, RetryAfter(90), retry=rules))
        assert delay(job) == 90

    def test_a_foreign_error_that_names_a_delay_keeps_to_the_rules(self, still: Face):
        rules = Retry(give_up_on=[TooManyRequestsError])
        dead = after_one_failure(still, failing(still, TooManyRequestsError(90), retry=rules))
        assert dead.reason == DeadReason.GAVE_UP

    def test_counts_as_an_attempt(self, still: Face):
        dead = after_one_failure(still, failing(still, RetryAfter(90), max_attempts=1))
        assert (dead.state, dead.reason) == (State.DEAD, DeadReason.ATTEMPTS_EXHAUSTED)
        assert dead.error == "asked to be tried again after 90 s"

    @pytest.mark.parametrize("nonsense", [None, "Wed, 21 Oct 2026 07:28:00 GMT", -1, float("nan")])
    def test_nonsense_leaves_the_backoff(self, still: Face, nonsense: Any):
        error = TooManyRequestsError(nonsense)
        handler = failing(still, error, retry=Retry(backoff=Backoff.fixed(40)))
        assert delay(after_one_failure(still, handler)) == 40
