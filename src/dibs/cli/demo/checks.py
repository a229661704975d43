"""What must be true when the demo has ended: pure functions over what was seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from dibs.model.job import Job, Priority, State

FLAKY = "fetch_exchange_rates"
HOPELESS = "notify_partner"
SHOWN = 3
"""How many offenders a problem names."""


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """What was done for one order."""

    id: int
    confirmations: int
    invoices: tuple[str, ...]
    """Names of the files that were written, one per time."""
    inventory: int
    """How often the inventory was changed for it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen when all was over."""

    jobs: tuple[Job, ...]
    acknowledged: frozenset[int]
    """Ids of the jobs that the API said it stored."""
    orders: tuple[OrderSeen, ...]
    invoices: Path
    """The folder they were written to."""


@dataclass(frozen=True, slots=True)
class Check:
    """One promise, and how it was broken if it was."""

    promise: str
    problem: str | None

    @property
    def holds(self) -> bool:
        """Whether it was kept."""
        return self.problem is None


def waits(jobs: Iterable[Job]) -> dict[int, list[float]]:
    """Return by priority the seconds that jobs waited for their first and only attempt."""
    found: dict[int, list[float]] = defaultdict(list)
    for job in jobs:
        if job.attempt == 1 and job.started_at is not None:
            found[job.priority].append((job.started_at - job.scheduled_at).total_seconds())
    return dict(sorted(found.items(), reverse=True))


def check(outcome: Outcome) -> list[Check]:
    """Return every promise, kept or broken."""
    return [Check(promise, broken(outcome)) for promise, broken in PROMISES.items()]


def _listed(problems: Iterable[str]) -> str | None:
    found = list(problems)
    more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + more if found else None


def _lost(outcome: Outcome) -> str | None:
    ids = {job.id for job in outcome.jobs}
    return _listed(
        [f"job {id_} was acknowledged and is gone" for id_ in sorted(outcome.acknowledged - ids)]
        + [f"job {id_} came from a declined order" for id_ in sorted(ids - outcome.acknowledged)]
    )


def _unexpected(outcome: Outcome) -> str | None:
    wanted = {HOPELESS: State.DEAD}
    return _listed(
        f"job {job.id} ({job.kind}) is {job.state}"
        for job in outcome.jobs
        if job.state is not wanted.get(job.kind, State.COMPLETED)
    )


def _counted(outcome: Outcome, done: str, count: Callable[[OrderSeen], int]) -> str | None:
    if not outcome.orders:
        return "there were no orders"
    return _listed(
        f"order {order.id} was {done} {count(order)} times"
        for order in outcome.orders
        if count(order) != 1
    )


def _unconfirmed(outcome: Outcome) -> str | None:
    return _counted(outcome, "confirmed", lambda order: order.confirmations)


def _uninvoiced(outcome: Outcome) -> str | None:
    problem = _counted(outcome, "invoiced", lambda order: len(order.invoices))
    return problem or _listed(
        f"order {order.id} has no PDF in {name}"
        for order in outcome.orders
        for name in order.invoices
        if not _is_pdf(outcome.invoices / name)
    )


def _is_pdf(file: Path) -> bool:
    return file.is_file() and file.read_bytes().startswith(b"%PDF")


def _unsynced(outcome: Outcome) -> str | None:
    return _counted(outcome, "synced", lambda order: order.inventory)


def _not_flaky(outcome: Outcome) -> str | None:
    flaky = [job for job in outcome.jobs if job.kind == FLAKY]
    if not flaky:
        return f"there were no jobs of kind {FLAKY}"
    return _listed(
        f"job {job.id} ended on attempt {job.attempt}" for job in flaky if job.attempt != 3
    )


def _not_dead(outcome: Outcome) -> str | None:
    hopeless = [job for job in outcome.jobs if job.kind == HOPELESS]
    if not hopeless:
        return f"there were no jobs of kind {HOPELESS}"
    return _listed(
        f"job {job.id} is {job.state} after {job.attempt} of {job.max_attempts} attempts"
        for job in hopeless
        if job.state is not State.DEAD or job.attempt != job.max_attempts
    )


def _late(outcome: Outcome) -> str | None:
    waited = waits(outcome.jobs)
    if not waited.get(Priority.CRITICAL) or not waited.get(Priority.LOW):
        return "there were no CRITICAL or no LOW jobs to compare"
    critical, low = median(waited[Priority.CRITICAL]), median(waited[Priority.LOW])
    if critical < low:
        return None
    return f"CRITICAL jobs waited {critical:.3f} s, LOW ones {low:.3f} s (medians)"


PROMISES: dict[str, Callable[[Outcome], str | None]] = {
    "every acknowledged job is there, a declined order left none": _lost,
    "every job ended as it should": _unexpected,
    "every order was confirmed exactly once": _unconfirmed,
    "every order was invoiced exactly once, as a PDF": _uninvoiced,
    "every order was synced exactly once": _unsynced,
    "flaky jobs completed on attempt 3": _not_flaky,
    "hopeless jobs are dead letters after their last attempt": _not_dead,
    "CRITICAL jobs waited less than LOW ones": _late,
}
