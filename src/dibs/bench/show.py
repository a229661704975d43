"""Show a run: the progress on standard error, the figures on standard output."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from dibs.bench.report import Report
from dibs.bench.run import OnStep

EXACT_BELOW = 100
"""Figures below this are shown with decimals."""


@contextmanager
def progress(steps: int) -> Iterator[OnStep]:
    """Show a bar while steps are done, where standard error is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )  # fmt: skip
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with bar:
        task = bar.add_task("starting", total=steps)

        def on_step(what: str) -> None:
            bar.update(task, description=what, advance=1)

        yield on_step


def as_json(report: Report) -> str:
    """Return the report as one JSON document."""
    figures = {
        figure.key: {
            "unit": figure.unit,
            "dibs": figure.dibs,
            "raw": figure.raw,
            "ratio": figure.ratio,
        }
        for figure in report.figures
    }
    about = {
        name: getattr(report, name) for name in ("database", "engine", "jobs", "python", "cores")
    }
    return json.dumps({**about, "figures": figures}, indent=2)


def print_table(report: Report) -> None:
    """Print the figures for people."""
    console = Console()
    console.print(
        f"{report.database} · {report.jobs:,} jobs · {report.cores} cores · Python {report.python}",
        soft_wrap=True,
        highlight=False,
    )
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("figure")
    for column in ("dibs", "raw", "ratio"):
        table.add_column(column, justify="right")
    table.add_column("unit")
    for figure in report.figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        raw = "" if figure.raw is None else _number(figure.raw)
        table.add_row(figure.label, _number(figure.dibs), raw, ratio, figure.unit)
    console.print(table)
    console.print("raw: a bare driver loop over the same SQL, in the same run", highlight=False)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= EXACT_BELOW else f"{value:.2f}"
