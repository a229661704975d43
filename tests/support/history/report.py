"""What a scenario of the lab found, in one row of figures."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.support.history.check import check
from tests.support.history.events import History, Rule, Violation, What

LOST = frozenset({Rule.PLACE, Rule.LOST, Rule.UNENDED})
TWICE = frozenset({Rule.OVERLAP, Rule.AFTER_END, Rule.REPEATED})
FAULTS = frozenset({What.KILLED, What.CUT, What.FAULT})
HEAD = (
    "| scenario | engine | jobs | faults injected | lost | wrongly repeated | rightly repeated "
    "| longest time to recovery | seed |\n|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one scenario on one engine."""

    scenario: str
    engine: str
    jobs: int
    faults: int
    lost: int = 0
    """Jobs that were acknowledged and then neither ended nor stand in exactly one place."""
    repeated: int = 0
    """Jobs of which two claims were valid, or that ran or moved again without cause."""
    again: int = 0
    """Jobs whose handler began again rightly: a claim was lost, or an attempt failed."""
    recovery: float | None = None
    """The longest time in seconds between a fault and the moment when work went on: the next job
    that was completed, and the rescue of all that a killed worker held, whichever came last. Where
    faults last, it counts from their end, until the worker concerned completed a job. None where
    the scenario has no moments of faults."""
    seed: int | None = None
    violations: tuple[Violation, ...] = field(default=(), repr=False)

    def row(self) -> str:
        """Return the figures as a row of a Markdown table."""
        recovery = "-" if self.recovery is None else f"{self.recovery:.2f} s"
        seed = "-" if self.seed is None else str(self.seed)
        return (
            f"| {self.scenario} | {self.engine} | {self.jobs:,} | {self.faults:,} | {self.lost} "
            f"| {self.repeated} | {self.again:,} | {recovery} | {seed} |"
        )


def summarize(scenario: str, engine: str, history: History, seed: int | None = None) -> Report:
    """Check a history and return its figures; `lost` and `repeated` count jobs."""
    violations = check(history)
    began = Counter(event.job for event in history.events if event.what is What.BEGAN)
    return Report(
        scenario,
        engine,
        jobs=len(history.records),
        faults=sum(event.what in FAULTS for event in history.events),
        lost=len({v.job for v in violations if v.rule in LOST}),
        repeated=len({v.job for v in violations if v.rule in TWICE}),
        again=sum(count > 1 for count in began.values()),
        recovery=longest_recovery(history),
        seed=seed,
        violations=tuple(violations),
    )


def longest_recovery(history: History) -> float | None:
    """Return `Report.recovery` of a history."""
    done: dict[str, list[int]] = defaultdict(list)
    for event in sorted(history.events, key=lambda event: event.at):
        if (event.what, event.to) == (What.SETTLED, "completed"):
            done[event.worker].append(event.at)
            done[""].append(event.at)
    rescued: dict[str, int] = {}
    for event in history.events:
        if event.what is What.RESCUED:
            rescued[event.worker] = max(event.at, rescued.get(event.worker, 0))
    longest = None
    last = any(event.what is What.MENDED for event in history.events)
    starts = {What.MENDED, What.KILLED} if last else FAULTS
    for fault in history.events:
        if fault.what not in starts:
            continue
        ends = done[fault.worker if fault.what is What.MENDED else ""]
        place = bisect_right(ends, fault.at)
        again = [ends[place]] if place < len(ends) else []
        if fault.what is What.KILLED and fault.worker in rescued:
            again.append(rescued[fault.worker])
        if again:
            longest = max(longest or 0, max(again) - fault.at)
    return None if longest is None else longest / 1e9
