"""From an error to one line on standard error and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from dibs.errors import DibsError

FAILED = 1
ERRORS_SHOWN = 3


class Misuse(click.UsageError):
    """Bad usage; the message says itself what to do."""


class Unusable(click.ClickException):
    """A stream or an environment in which the command cannot work."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What the user is told, and the exit code."""

    message: str
    exit_code: int


def failure_of(error: BaseException) -> Failure | None:
    """Return how an error is told in one line; None for a bug, whose traceback must be seen."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return Failure(error.format_message(), error.exit_code)
    if isinstance(error, click.ClickException):
        return Failure(
            _one_line(error.format_message()).rstrip(".") + _hint(error), error.exit_code
        )
    if isinstance(error, DibsError):
        return Failure(_one_line(str(error)), getattr(error, "exit_code", FAILED))
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return Failure("interrupted", FAILED)
    return None


def show_failure(failure: Failure) -> int:
    """Print a failure on standard error and return its exit code."""
    is_help = "\n" in failure.message
    click.echo(failure.message if is_help else f"dibs: error: {failure.message}", err=True)
    return failure.exit_code


def summary(errors: Sequence[object]) -> str:
    """Return what several errors say, the first of them in full, in one line."""
    shown = "; ".join(map(str, errors[:ERRORS_SHOWN]))
    more = len(errors) - ERRORS_SHOWN
    return f"{shown}; and {more} more like these" if more > 0 else shown


def _hint(error: click.ClickException) -> str:
    if isinstance(error, Misuse) or not isinstance(error, click.UsageError) or not error.ctx:
        return ""
    return f"; '{error.ctx.command_path} --help' shows how"


def _one_line(text: str) -> str:
    return " ".join(text.split())
