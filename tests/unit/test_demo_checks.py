"""The demo's checks notice what they are there to notice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dibs.cli.demo.checks import OrderSeen, Outcome, check
from dibs.model.job import Job, Priority, State

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def job(id_: int, kind: str, priority: int = 0, *, waited: float = 1.0, **changes: Any) -> Job:
    record = Job(
        id=id_, kind=kind, queue="default", priority=priority, effective_priority=priority,
        state=State.COMPLETED, args={}, attempt=1, max_attempts=5, crashes=0,
        scheduled_at=NOON, created_at=NOON, started_at=NOON + timedelta(seconds=waited),
    )  # fmt: skip
    return replace(record, **changes)


@pytest.fixture
def good(tmp_path: Path) -> Outcome:
    """What a good run looks like."""
    (tmp_path / "invoice-1.pdf").write_bytes(b"%PDF-1.3 ...")
    jobs = (
        job(1, "daily_report", Priority.LOW, waited=5),
        job(2, "send_password_reset", Priority.CRITICAL, waited=0.01),
        job(3, "send_order_confirmation", Priority.HIGH),
        job(4, "fetch_exchange_rates", Priority.NORMAL, attempt=3),
        job(5, "notify_partner", Priority.NORMAL, attempt=3, max_attempts=3, state=State.DEAD),
    )
    order = OrderSeen(id=1, confirmations=1, invoices=("invoice-1.pdf",), inventory=1)
    return Outcome(jobs, frozenset({1, 2, 3, 4, 5}), (order,), tmp_path)


def problems(outcome: Outcome) -> list[str]:
    return [found.problem for found in check(outcome) if found.problem is not None]


def with_order(outcome: Outcome, **changes: Any) -> Outcome:
    return replace(outcome, orders=(replace(outcome.orders[0], **changes),))


def with_job(outcome: Outcome, id_: int, **changes: Any) -> Outcome:
    jobs = (replace(each, **changes) if each.id == id_ else each for each in outcome.jobs)
    return replace(outcome, jobs=tuple(jobs))


def test_a_good_run_keeps_every_promise(good: Outcome):
    assert problems(good) == []
    assert all(found.holds for found in check(good))


@pytest.mark.parametrize("times", [0, 2])
def test_an_order_confirmed_other_than_once(good: Outcome, times: int):
    assert problems(with_order(good, confirmations=times)) == [
        f"order 1 was confirmed {times} times"
    ]


@pytest.mark.parametrize("times", [0, 2])
def test_an_order_synced_other_than_once(good: Outcome, times: int):
    assert problems(with_order(good, inventory=times)) == [f"order 1 was synced {times} times"]


@pytest.mark.parametrize("times", [0, 2])
def test_an_order_invoiced_other_than_once(good: Outcome, times: int):
    outcome = with_order(good, invoices=("invoice-1.pdf",) * times)
    assert problems(outcome) == [f"order 1 was invoiced {times} times"]


def test_an_invoice_whose_file_is_missing(good: Outcome):
    (good.invoices / "invoice-1.pdf").unlink()
    assert problems(good) == ["order 1 has no PDF in invoice-1.pdf"]


def test_an_invoice_that_is_not_a_pdf(good: Outcome):
    (good.invoices / "invoice-1.pdf").write_text("Dear customer")
    assert problems(good) == ["order 1 has no PDF in invoice-1.pdf"]


def test_low_jobs_that_beat_critical_ones(good: Outcome):
    late = with_job(good, 2, started_at=NOON + timedelta(seconds=6))
    assert problems(late) == ["CRITICAL jobs waited 6.000 s, LOW ones 5.000 s (medians)"]


def test_a_job_that_was_lost(good: Outcome):
    assert problems(replace(good, acknowledged=good.acknowledged | {9})) == [
        "job 9 was acknowledged and is gone"
    ]


def test_a_job_that_a_declined_order_left_behind(good: Outcome):
    ghost = job(9, "generate_invoice", Priority.NORMAL)
    assert problems(replace(good, jobs=(*good.jobs, ghost))) == ["job 9 came from a declined order"]


def test_a_job_that_never_ended(good: Outcome):
    assert problems(with_job(good, 3, state=State.READY)) == [
        "job 3 (send_order_confirmation) is ready"
    ]


def test_a_flaky_job_that_took_another_number_of_attempts(good: Outcome):
    assert problems(with_job(good, 4, attempt=2)) == ["job 4 ended on attempt 2"]


def test_a_hopeless_job_that_completed(good: Outcome):
    assert "job 5 is completed after 3 of 3 attempts" in problems(
        with_job(good, 5, state=State.COMPLETED)
    )


def test_a_hopeless_job_that_died_too_early(good: Outcome):
    assert problems(with_job(good, 5, attempt=2)) == ["job 5 is dead after 2 of 3 attempts"]


def test_a_run_in_which_nothing_happened(good: Outcome):
    nothing = replace(good, jobs=(), acknowledged=frozenset(), orders=())
    assert len(problems(nothing)) == 6


def test_many_offenders_are_counted_not_listed(good: Outcome):
    orders = tuple(replace(good.orders[0], id=number, inventory=2) for number in range(1, 9))
    assert problems(replace(good, orders=orders)) == [
        "order 1 was synced 2 times; order 2 was synced 2 times; order 3 was synced 2 times, "
        "and 5 more"
    ]
