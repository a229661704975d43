"""Claims take the heads of lines: nobody may be passed over who stood ahead and was ready."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterator

from tests.support.history.events import Event, Rule, Violation
from tests.support.history.told import Told

SWEEP = 1_500_000_000
"""Nanoseconds within which a claim may begin behind a job that came in late: on PostgreSQL a worker
reads on from where it was, and from the front once a second."""


def passed_over(told: Told) -> Iterator[Violation]:
    """Find jobs whose first claim came after that of a job behind them, in the same line."""
    for line in _first_claims(told).values():
        line.sort(key=lambda claimed: (claimed.due, claimed.job))
        before: list[Event] = []  # those that stand ahead, by the time of their claims
        for claimed in line:
            for ahead in before[bisect_right(before, claimed.at, key=_asked) :]:
                if any(
                    a.at + SWEEP < claimed.asked and not _locked(a, claimed, told)
                    for a in told.jobs[ahead.job].acknowledged
                ):
                    yield Violation(
                        Rule.ORDER, ahead.job,
                        f"was passed over: {claimed.worker} took job {claimed.job}, which stood "
                        f"behind it in line {claimed.line}",
                    )  # fmt: skip
            insort(before, claimed, key=_asked)


def _locked(acknowledged: Event, passing: Event, told: Told) -> bool:
    """Return whether a job may have been held by a claim that nobody knows the end of."""
    return any(
        acknowledged.asked < claim.at and claim.asked < passing.at for claim in told.doubtful_claims
    )


def _asked(claimed: Event) -> int:
    return claimed.asked


def _first_claims(told: Told) -> dict[str, list[Event]]:
    """Return the first claim of each job by its line, where it was told.

    Only of jobs that could start at once: the others came into their line later than they were
    acknowledged.
    """
    lines = defaultdict(list)
    for job in told.jobs.values():
        at_once = job.acknowledged and job.acknowledged[0].to == "ready"
        if at_once and 1 in job.terms and job.terms[1].claimed:
            claimed = job.terms[1].claimed[0]
            lines[claimed.line].append(claimed)
    return lines
