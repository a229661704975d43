"""The command `dibs bench`."""

from __future__ import annotations

import click


@click.command()
@click.option("--url", help="An empty database to measure on. [default: a temporary SQLite file]")
@click.option("--postgres", is_flag=True, help="Start a PostgreSQL for it (extra: dibs[testing]).")
@click.option(
    "--jobs", type=click.IntRange(min=1), default=20_000, show_default=True, metavar="N",
    help="How many jobs each measurement of a rate takes.",
)  # fmt: skip
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def bench(target: object, url: str | None, postgres: bool, jobs: int, as_document: bool) -> None:
    """Measure the queue against the limit of the same SQL, in one run.

    Enqueueing one by one and in bulk, draining with one and two worker processes, their CPU and
    memory, pick-up on an idle queue, and an enqueue beside busy workers. The database must hold
    no jobs, and holds none afterwards.
    """
    url = url or getattr(target, "url", None)  # dibs --url … bench means the same
    if url is not None and postgres:
        raise click.UsageError("--url names a database, --postgres starts one: give one of them")
    from dibs.bench.run import database, measure, steps
    from dibs.bench.show import as_json, print_table, progress

    with progress(steps(jobs)) as on_step, database(url, postgres=postgres) as place:
        report = measure(place, jobs, on_step)
    if as_document:
        click.echo(as_json(report))
    else:
        print_table(report)
