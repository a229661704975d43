"""`dibs demo`: a small shop with its API, workers and customers, from order to invoice."""

from __future__ import annotations

import click
from rich.console import Console

from dibs.cli.demo.run import run_demo
from dibs.cli.output import json_option, print_json


@click.command()
@click.option("--url", help="Database to run in; what the demo makes in it, it removes.")
@click.option("--postgres", is_flag=True, help="Start a PostgreSQL server for the demo.")
@json_option
def demo(url: str | None, postgres: bool, as_json: bool) -> None:
    """Show orders and their jobs run, on a temporary SQLite file or where --url says.

    Starts an API and two workers, posts orders over HTTP while thousands of reports wait, and
    checks that every order was confirmed, invoiced and synced exactly once. Takes half a minute
    at most, and cleans up after itself.
    """
    if url is not None and postgres:
        raise click.UsageError("--url and --postgres are given both; give one of them")
    summary = run_demo(url, postgres=postgres, console=Console(stderr=as_json))
    if as_json:
        print_json(summary.json())
    else:
        summary.print(Console())
    if summary.problems:
        raise click.ClickException(f"the demo failed: {summary.problems[0]}")
