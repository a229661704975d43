"""What runs, while it runs: a live picture on a terminal, lines of text elsewhere."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dibs.insights import GroupStats, Stats
from dibs.model.job import WAITING, Job, State

EVENTS = 6
"""Events on the screen."""
LINE_SECONDS = 1.0
"""Between two lines of text."""


class Screen:
    """Shows the state of the queue and the last events."""

    def __init__(self, console: Console) -> None:
        """Show on `console`."""
        self._console = console
        self._began = time.monotonic()
        self._events: deque[str] = deque(maxlen=EVENTS)
        self._stats: Stats | None = None
        self._running: list[Job] = []
        self._last_line = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        """Begin the live picture, on a terminal."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the live picture, and leave the terminal as it was."""
        self._live.stop()

    @property
    def seconds(self) -> float:
        """How long this has been going on."""
        return time.monotonic() - self._began

    def say(self, event: str) -> None:
        """Show an event."""
        stamped = f"{self.seconds:5.1f} s  {event}"
        self._events.append(stamped)
        if self._live.is_started:
            self._live.update(self._picture(), refresh=True)
        else:
            self._print(stamped)

    def show(self, stats: Stats, running: list[Job]) -> None:
        """Show where the jobs stand."""
        self._stats, self._running = stats, running
        if self._live.is_started:
            self._live.update(self._picture(), refresh=True)
        elif self.seconds - self._last_line >= LINE_SECONDS:
            self._last_line = self.seconds
            waiting = f"{stats.waiting} waiting, {stats.states[State.RUNNING]} running"
            ended = f"{stats.states[State.COMPLETED]} completed, {stats.states[State.DEAD]} dead"
            self._print(f"{self.seconds:5.1f} s  {waiting}, {ended}")

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _picture(self) -> RenderableType:
        lines = [_line(event, "dim") for event in self._events]
        stats = self._stats
        if stats is None:
            return Group(*lines)
        heading = Text.assemble(
            ("dibs demo ", "bold"),
            f"{self.seconds:.0f} s · {stats.waiting} waiting · {len(stats.workers)} workers",
        )
        urgent = sorted(self._running, key=lambda job: -job.priority)
        running = ", ".join(f"{job.kind} {job.id}" for job in urgent)
        return Group(heading, kinds_table(stats.kinds), _line(f"now: {running}", ""), *lines)


def _line(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def kinds_table(kinds: list[GroupStats]) -> Table:
    """Return a table of jobs by kind and state."""
    table = Table(title="Jobs by kind and state", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("kind")
    for column in ("waiting", "running", "completed", "dead", "retries"):
        table.add_column(column, justify="right")
    for kind in kinds:
        counts = [
            sum(kind.states[state] for state in WAITING),
            *(kind.states[state] for state in (State.RUNNING, State.COMPLETED, State.DEAD)),
            kind.failed_attempts,
        ]
        table.add_row(kind.name, *(f"{count:,}" if count else "·" for count in counts))
    return table
