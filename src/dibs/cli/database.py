"""`dibs stats` and `dibs migrate`: the database as a whole."""

from __future__ import annotations

from datetime import timedelta

import click

from dibs.cli.output import json_option, print_json, print_table, say
from dibs.cli.target import Target, app_option, url_option
from dibs.insights import GroupStats, Stats
from dibs.model.job import State, range_in_words
from dibs.store.ops.workers import WorkerRecord

LATE = timedelta(seconds=1)
"""From here on a table names a loop that is late: a busy machine delays one by less."""


@click.command()
@app_option
@url_option
@json_option
@click.pass_obj
def stats(target: Target, as_json: bool) -> None:
    """Show how many jobs stand where, what waits, and which workers live."""
    with target.database() as app:
        found = app.stats()
    if as_json:
        print_json(found)
    else:
        _show(found)


def _show(found: Stats) -> None:
    whole = GroupStats("all", found.states, found.failed_attempts)
    for what, groups in (("queue", [*found.queues, whole]), ("kind", found.kinds)):
        print_table((what, *State, "failed attempts", "paused"), map(_row, groups))
    if found.lines:
        print_table(
            ("queue", "priority", "ready", "oldest waits"),
            (
                (line.queue, line.priority, line.ready, f"{line.oldest_age.total_seconds():.1f} s")
                for line in found.lines
            ),
        )
    if not found.workers:
        say("no worker is alive")
        return
    print_table(
        (
            "worker",
            "queues",
            "priorities",
            "concurrency",
            "leaked",
            "since",
            "last heartbeat",
            "late loops",
        ),
        map(_worker, found.workers),
    )


def _worker(one: WorkerRecord) -> tuple[object, ...]:
    priorities = range_in_words(one.lowest, one.highest)
    queues = ", ".join(one.queues)
    late = ", ".join(
        f"{name} by {loop.late.total_seconds():.1f} s"
        for name, loop in one.loops.items()
        if loop.late >= LATE
    )
    return (
        one.id, queues, priorities, one.concurrency, one.leaked, one.started_at, one.beat_at, late,
    )  # fmt: skip


def _row(group: GroupStats) -> tuple[object, ...]:
    counts = (group.states[state] for state in State)
    return (group.name, *counts, group.failed_attempts, group.paused)


@click.command()
@app_option
@url_option
@json_option
@click.pass_obj
def migrate(target: Target, as_json: bool) -> None:
    """Create or upgrade the tables; safe from any number of processes at once."""
    with target.database() as app:
        ran = app.migrate()
    if as_json:
        print_json({"migrations": ran})
    else:
        say(f"ran: {' '.join(ran)}" if ran else "the tables are up to date")
