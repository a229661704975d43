"""The options of `dibs queues pause` and `dibs kinds pause`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click

from dibs.cli.failures import Misuse
from dibs.cli.output import as_text
from dibs.cli.values import Seconds, moment
from dibs.model.pauses import SHORTEST_PAUSE, Pause

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = (
    click.option("--reason", metavar="TEXT", help="Shown with the pause."),
    click.option("--author", metavar="NAME", help="Who pauses it."),
    click.option(
        "--until", type=moment, metavar="TIME",
        help="Resume it then, in ISO 8601. [default: when somebody does]",
    ),
    click.option(
        "--for", "lasting", type=Seconds(SHORTEST_PAUSE), metavar="S",
        help="Resume it after so many seconds, instead of --until.",
    ),
)  # fmt: skip


def pause_options(command: F) -> F:
    """Add the options of a pause, which come as keyword arguments."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def check_end(until: datetime | None = None, lasting: float | None = None, **_: Any) -> None:
    """Refuse two ends of one pause.

    Raises:
        Misuse: both are given.
    """
    if until is not None and lasting is not None:
        raise Misuse("--until and --for both say when the pause ends: give one of them")


def paused_in_words(pause: Pause | None) -> str:
    """Return for people whether something is paused."""
    return "not paused" if pause is None else f"paused {as_text(pause)}"
