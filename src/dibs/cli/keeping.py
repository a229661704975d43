"""The options of `dibs queues configure` that say how long ended jobs are kept, and how many."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import click

from dibs.cli.values import FOR_EVER, SecondsOr, WholeNumber
from dibs.model.retention import DEFAULT, ENDED, MOST, SHORTEST, Retention
from dibs.model.times import in_seconds

F = TypeVar("F", bound=Callable[..., Any])


def _default(kept: Any) -> str:
    return in_seconds(kept.total_seconds()) if isinstance(kept, timedelta) else FOR_EVER


OPTIONS = (
    *(
        click.option(
            f"--keep-{state}", type=SecondsOr(FOR_EVER, SHORTEST), metavar="S",
            help=f"Prune {state} jobs after so many seconds; '{FOR_EVER}' keeps them.  "
            f"[default: {_default(getattr(DEFAULT, state))}]",
        )
        for state in ENDED
    ),
    *(
        click.option(
            f"--max-{state}", type=WholeNumber(0, MOST), metavar="N",
            help=f"Keep at most the latest N {state} jobs.  [default: any number]",
        )
        for state in ENDED
    ),
)  # fmt: skip


def keeping_options(command: F) -> F:
    """Add the options of a retention, which come as keyword arguments."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def retention_of(options: dict[str, Any]) -> Retention | None:
    """Take the options of a retention out of `options`; return what they say, None if nothing."""
    kept: dict[str, Any] = {}
    for state in ENDED:
        if (age := options.pop(f"keep_{state}")) is not None:
            kept[state] = None if age == FOR_EVER else age
        if (most := options.pop(f"max_{state}")) is not None:
            kept[f"max_{state}"] = most
    return Retention(**kept) if kept else None
