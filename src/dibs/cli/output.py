"""What commands print: one JSON document, or tables and text for people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from dibs.cli.failures import Unusable
from dibs.insights import to_json

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

PIPE_WIDTH = 500
"""Columns of a table that is not read from a terminal: nothing is cut off."""


def json_option(command: F) -> F:
    """Add --json to a command that prints, as its argument `as_json`.

    Where nothing can be printed, the command does not begin.
    """

    def check(context: click.Context, option: click.Parameter, value: bool) -> bool:  # noqa: ARG001
        if sys.stdout is None:
            raise Unusable("standard output is closed; redirect it to /dev/null to print nothing")
        return value

    return click.option(
        "--json", "as_json", is_flag=True, callback=check, help="Print one JSON document."
    )(command)


@contextmanager
def printing() -> Iterator[None]:
    """Print the outcome of work that is done.

    Who reads it may have seen enough and gone: that changes nothing, least of all the exit code,
    for who saw a failure would do the work again.

    Raises:
        Unusable: it cannot be written.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        mute()
    except OSError as error:
        mute()
        raise Unusable(
            f"the work is done, but its output could not be written: {error.strerror}"
        ) from error


def mute() -> None:
    """Lose what is still printed, so that Python does not fail with it at its end."""
    if sys.stdout is None:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def say(text: str, end: str = "\n") -> None:
    """Print a line."""
    with printing():
        click.echo(text + end, nl=False)


def print_json(value: Any) -> None:
    """Print records or figures as one JSON document."""
    say(json.dumps(to_json(value), indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Print a table; numbers are right-aligned, long texts cut off where a terminal is narrow."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    for row in rows:
        for column, value in zip(table.columns, row, strict=True):
            column.no_wrap = True
            column.overflow = "ellipsis"
            if isinstance(value, int | float):
                column.justify = "right"
        table.add_row(*(Text(as_text(value)) for value in row))
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    with printing(), console.capture() as drawn:  # rich would end the process at a closed pipe
        console.print(table)
    say(drawn.get(), end="")


def print_fields(fields: Mapping[str, object]) -> None:
    """Print the fields of a record that have a value, one in a line."""
    for name, value in fields.items():
        if value is not None and value is not False:
            say(f"{name.replace('_', ' '):<14}{as_text(value)}")


def as_text(value: object) -> str:
    """Return a value for people, in one line and without characters that steer terminals."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else " " for char in str(value))


def tracked(items: Sequence[T], what: str) -> Iterable[T]:
    """Return `items`, with a progress bar on standard error where that is a terminal."""
    if len(items) < 2 or not _watched():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, what, console=Console(stderr=True), transient=True)


@contextmanager
def advancing(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Yield a function that moves a progress bar by so many of `total`; shown as by `tracked`."""
    if total < 2 or not _watched():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


def _watched() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
