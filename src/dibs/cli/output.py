"""What commands print: one JSON document, or tables and text for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from dibs.insights import to_json

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

PIPE_WIDTH = 500
"""Columns of a table that is not read from a terminal: nothing is cut off."""


def json_option(command: F) -> F:
    """Add --json to a command, as its argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def print_json(value: Any) -> None:
    """Print records or figures as one JSON document."""
    click.echo(json.dumps(to_json(value), indent=2))


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
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


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
    if len(items) < 2 or not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, what, console=Console(stderr=True), transient=True)
