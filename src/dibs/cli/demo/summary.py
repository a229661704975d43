"""The demo's result: what ran, how long it waited, and whether every promise was kept."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dibs.cli.demo.checks import Check
from dibs.cli.demo.screen import kinds_table
from dibs.insights import Stats, to_json
from dibs.model.job import Priority, State


@dataclass(frozen=True, slots=True)
class Spread:
    """Some durations, in seconds."""

    count: int
    median: float
    longest: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Return the spread of `values`, of which there is at least one."""
        return cls(len(values), median(values), max(values))


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything there is to say at the end."""

    engine: str
    seconds: float
    """From the first request to the end of the last job."""
    orders: int
    stats: Stats
    waits: dict[int, Spread]
    """By priority, the highest first."""
    answers: Spread
    """How long the API took to answer orders and password resets."""
    checks: list[Check]

    @property
    def problems(self) -> list[str]:
        """What was not as promised."""
        return [check.problem for check in self.checks if check.problem is not None]

    def json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "ok": not self.problems,
            "engine": self.engine,
            "seconds": round(self.seconds, 3),
            "orders": self.orders,
            "kinds": {kind.name: to_json(kind) for kind in self.stats.kinds},
            "waits": {name(priority): to_json(spread) for priority, spread in self.waits.items()},
            "answers": to_json(self.answers),
            "checks": [{**to_json(check), "holds": check.holds} for check in self.checks],
        }

    def print(self, console: Console) -> None:
        """Show it as tables."""
        console.print(kinds_table(self.stats.kinds))
        console.print(self._waits_table())
        for check in self.checks:
            mark = "[green]✓[/]" if check.holds else "[red]✗[/]"
            problem = "" if check.problem is None else f"[red]: {escape(check.problem)}[/]"
            console.print(f"{mark} {check.promise}{problem}", highlight=False, soft_wrap=True)
        ended = self.stats.states[State.COMPLETED] + self.stats.states[State.DEAD]
        console.print(
            f"{self.orders} orders and {ended:,} jobs on {self.engine} in {self.seconds:.1f} s; "
            f"meanwhile the API answered in {_ms(self.answers.median)} "
            f"(median; longest {_ms(self.answers.longest)})",
            highlight=False,
            soft_wrap=True,
        )

    def _waits_table(self) -> Table:
        table = Table(
            title="Waiting time until the first attempt",
            title_justify="left",
            box=box.SIMPLE_HEAD,
        )
        table.add_column("priority")
        for column in ("jobs", "median", "longest"):
            table.add_column(column, justify="right")
        for priority, spread in self.waits.items():
            durations = (_ms(spread.median), _ms(spread.longest))
            table.add_row(name(priority), f"{spread.count:,}", *durations)
        return table


def name(priority: int) -> str:
    """Return the name of a priority, or its number where it has none."""
    return Priority(priority).name if priority in set(Priority) else str(priority)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"
