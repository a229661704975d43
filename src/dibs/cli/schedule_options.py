"""The options that say when a schedule ticks, and what its jobs are like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from dibs.cli.values import Seconds, WholeNumber, missed, priority
from dibs.model.ticks import Overlap
from dibs.model.timeouts import SHORTEST_TIMEOUT
from dibs.model.timing import SHORTEST_INTERVAL

F = TypeVar("F", bound=Callable[..., Any])

TIMING = (
    click.option("--cron", metavar="EXPR", help="An expression, as in '0 9 * * 1-5', or @daily."),
    click.option(
        "--every", type=Seconds(SHORTEST_INTERVAL), metavar="S",
        help="Seconds between two ticks, in place of --cron.",
    ),
    click.option("--tz", metavar="ZONE", help="The time zone of --cron. [default: UTC]"),
)  # fmt: skip
POLICIES = (
    click.option(
        "--missed", type=missed, metavar="POLICY",
        help="Ticks that nobody fired in time: skip, once or all=N. [default: once]",
    ),
    click.option(
        "--overlap", type=click.Choice([str(overlap) for overlap in Overlap]),
        help="While the job of an earlier tick has not ended. [default: allow]",
    ),
    click.option(
        "--jitter", type=Seconds(), metavar="S",
        help="Put jobs off by chance, by so many seconds at most. [default: 0]",
    ),
    click.option("--queue", metavar="NAME", help="Where its jobs go. [default: the handler's]"),
    click.option(
        "--priority", type=priority, metavar="P",
        help="LOW, NORMAL, HIGH, CRITICAL or an integer. [default: the handler's]",
    ),
    click.option(
        "--max-attempts", type=WholeNumber(), metavar="N", help="[default: the handler's]"
    ),
    click.option(
        "--timeout", type=Seconds(SHORTEST_TIMEOUT), metavar="S",
        help="Seconds that an attempt may take. [default: what its kind or queue says]",
    ),
)  # fmt: skip


def with_options(options: Sequence[Callable[[F], F]]) -> Callable[[F], F]:
    """Add several options; those that are given come as keyword arguments."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add
