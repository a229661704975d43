"""Schedules: whether they are fired in time, and whether their jobs can run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta

from dibs.doctor.finding import Check, Finding, ok, problem, warning
from dibs.explain.figures import many, span
from dibs.store.ops.schedules import Schedule

MOST = 20
"""Findings of one kind, at most."""
LATE = timedelta(seconds=60)
"""A tick that is due for longer is told."""


def check_schedules(
    schedules: Iterable[Schedule], kinds: Collection[str], now: datetime
) -> Iterator[Finding]:
    """Say which schedules don't do what they should.

    Args:
        schedules: all there are.
        kinds: those that live workers know; none where no worker lives, which others tell.
        now: the database's time.
    """
    active = [schedule for schedule in schedules if schedule.paused_at is None]
    found = [finding for schedule in active for finding in _wrong(schedule, kinds, now)]
    if not found:
        yield ok(Check.SCHEDULES, f"{many(len(active), 'schedule')} in time")
    yield from found[:MOST]


def _wrong(schedule: Schedule, kinds: Collection[str], now: datetime) -> Iterator[Finding]:
    name, spec = schedule.name, schedule.spec
    if spec is None:
        yield problem(
            Check.SCHEDULES, f"what is stored for schedule {name!r} cannot be read",
            f"delete it with: dibs schedules delete {name}, and create it anew; or update the "
            "workers, if a later version wrote it",
        )  # fmt: skip
        return
    if schedule.next_at is not None and now - schedule.next_at > LATE:
        yield problem(
            Check.SCHEDULES,
            f"schedule {name!r} should have ticked {span(now - schedule.next_at)} ago",
            "workers fire schedules: see that one is alive; its log tells more",
        )
    if schedule.last_at is not None and schedule.last_at - now > LATE:
        yield warning(
            Check.SCHEDULES,
            f"schedule {name!r} last ticked {span(schedule.last_at - now)} from now: the "
            "database's clock was ahead; it waits until that time has passed",
            "if that is too long, delete it and create it anew; one that code declares comes back "
            "when the next worker starts",
        )
    if kinds and spec.kind not in kinds:
        yield warning(
            Check.SCHEDULES,
            f"schedule {name!r} makes jobs of kind {spec.kind!r}, which no live worker knows",
            "start a worker with the app that declares it, or pause or delete the schedule",
        )  # fmt: skip
