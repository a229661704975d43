"""`dibs schedules`: list, show, write, pause, run and preview jobs that recur."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import click

from dibs.cli.failures import Misuse
from dibs.cli.output import as_text, json_option, print_fields, print_json, print_table, say
from dibs.cli.schedule_options import POLICIES, TIMING, with_options
from dibs.cli.target import Target, app_option, url_option
from dibs.cli.values import WholeNumber, json_object
from dibs.insights import schedule_fields
from dibs.model.timing import MOST_PREVIEWED, Timing
from dibs.store.ops.schedules import Schedule
from dibs.store.ops.ticks import KEPT, Tick

one_name = click.argument("name", metavar="NAME")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


@click.group()
def schedules() -> None:
    """List, show, write, pause, run and preview jobs that recur."""


# --- Looking --------------------------------------------------------------------------------


@schedules.command("list")
@app_option
@url_option
@json_option
@click.pass_obj
def list_schedules(target: Target, as_json: bool) -> None:
    """List schedules, by name."""
    with target.database() as app:
        found = app.schedules.list()
    if as_json:
        print_json([schedule_fields(schedule) for schedule in found])
    elif found:
        columns = ("name", "kind", "ticks", "next", "last", "set by", "paused")
        print_table(columns, (_row(schedule) for schedule in found))
    else:
        say("there are no schedules: code declares them with @app.schedule, or create one")


def _row(schedule: Schedule) -> tuple[object, ...]:
    spec = schedule.spec
    kind, ticks = ("", "cannot be read") if spec is None else (spec.kind, str(spec))
    return (
        schedule.name, kind, ticks, schedule.next_at, schedule.last_at, schedule.source,
        _pause(schedule),
    )  # fmt: skip


def _pause(schedule: Schedule) -> str:
    if schedule.paused_at is None:
        return ""
    by = f" by {schedule.paused_by}" if schedule.paused_by else ""
    why = f": {schedule.pause_reason}" if schedule.pause_reason else ""
    return f"{as_text(schedule.paused_at)}{by}{why}"


@schedules.command("show")
@app_option
@url_option
@one_name
@click.option(
    "--limit", type=WholeNumber(1, KEPT), default=20, show_default=True, metavar="N",
    help="How many ticks at most.",
)  # fmt: skip
@json_option
@click.pass_obj
def show(target: Target, name: str, limit: int, as_json: bool) -> None:
    """Show a schedule, with what became of its newest ticks."""
    with target.database() as app:
        schedule = app.schedules.get(name)
        ticks = app.schedules.ticks(name, limit=limit)
    if as_json:
        print_json({**schedule_fields(schedule), "ticks": ticks})
        return
    fields = schedule_fields(schedule)
    print_fields({**fields, "jitter": fields["jitter"] or None})
    if ticks:
        columns = ("tick", "outcome", "job", "passed", "fired at", "reason")
        print_table(columns, (_tick(tick) for tick in ticks))


def _tick(tick: Tick) -> tuple[object, ...]:
    outcome = f"{tick.outcome}, by hand" if tick.manual else str(tick.outcome)
    return (tick.at, outcome, tick.job_id, tick.passed or None, tick.fired_at, tick.reason)


@schedules.command("preview")
@app_option
@url_option
@click.argument("name", metavar="[NAME]", required=False)
@with_options(TIMING)
@click.option(
    "--count", "n", type=WholeNumber(1, MOST_PREVIEWED), default=10, show_default=True,
    metavar="N", help="How many.",
)  # fmt: skip
@json_option
@click.pass_obj
def preview(target: Target, /, name: str | None, n: int, as_json: bool, **timing: Any) -> None:
    """Print the next ticks of a schedule, or of --cron or --every.

    An expression need not be stored, and needs no database.

    Example: dibs schedules preview --cron '0 9 * * 1-5' --tz Europe/Berlin
    """
    given = _given(timing)
    if (name is None) == (not given):
        raise Misuse("whose ticks? give the NAME of a schedule, or --cron or --every")
    if name is None:
        found = Timing(**given).preview(n, time.time_ns() // 1000)
    else:
        with target.database() as app:
            found = app.schedules.preview(n, name=name)
    if as_json:
        print_json(found)
    else:
        for moment in found:
            say(_local(moment))


def _local(moment: datetime) -> str:
    return moment.strftime("%a %Y-%m-%d %H:%M:%S %z")


# --- Changing -------------------------------------------------------------------------------


@schedules.command("create")
@app_option
@one_name
@click.argument("kind")
@click.argument("args", metavar="[JSON]", type=json_object, default="{}")
@with_options([*TIMING, *POLICIES])
@json_option
@click.pass_obj
def create(
    target: Target, /, name: str, kind: str, args: dict[str, Any], as_json: bool, **options: Any
) -> None:
    """Store a schedule NAME of jobs of KIND, with args from a JSON object.

    Example: dibs --app shop:app schedules create evening report --cron '0 18 * * *'
    """
    with target.handlers() as app:
        schedule = app.schedules.create(name, kind, args, **_given(options))
    _tell(schedule, as_json)


@schedules.command("update")
@app_option
@url_option
@one_name
@click.option(
    "--args", type=json_object, metavar="JSON",
    help="Of its jobs, all of them; needs an app, as options of jobs do.",
)  # fmt: skip
@with_options([*TIMING, *POLICIES])
@json_option
@click.pass_obj
def update(target: Target, /, name: str, as_json: bool, **options: Any) -> None:
    """Change what a schedule does from now on; what is not given stays.

    It wins over what the code declares, until `dibs schedules reset`.
    """
    given = _given(options)
    if not given:
        raise Misuse("what shall change? give --cron, --every, --args or another option")
    with target.database() as app:
        schedule = app.schedules.update(name, **given)
    _tell(schedule, as_json)


@schedules.command("reset")
@app_option
@url_option
@one_name
@json_option
@click.pass_obj
def reset(target: Target, name: str, as_json: bool) -> None:
    """Return a schedule to what the code declares, if it does."""
    with target.database() as app:
        schedule = app.schedules.reset(name)
    _tell(schedule, as_json)


@schedules.command("pause")
@app_option
@url_option
@one_name
@click.option("--reason", metavar="TEXT", help="Why; shown with it.")
@click.option("--author", metavar="NAME", help="Who says so.")
@json_option
@click.pass_obj
def pause(target: Target, name: str, reason: str | None, author: str | None, as_json: bool) -> None:
    """Have a schedule tick no more, until it is resumed."""
    with target.database() as app:
        schedule = app.schedules.pause(name, reason, author=author)
    _tell(schedule, as_json)


@schedules.command("resume")
@app_option
@url_option
@one_name
@json_option
@click.pass_obj
def resume(target: Target, name: str, as_json: bool) -> None:
    """Have a schedule tick again, from now on."""
    with target.database() as app:
        schedule = app.schedules.resume(name)
    _tell(schedule, as_json)


@schedules.command("delete")
@app_option
@url_option
@one_name
@json_option
@click.pass_obj
def delete(target: Target, name: str, as_json: bool) -> None:
    """Remove a schedule and its history; its jobs stay.

    One that the code declares comes back when the next worker starts: pause it instead.
    """
    with target.database() as app:
        app.schedules.delete(name)
    print_json({"deleted": name}) if as_json else say(f"deleted: {name}")


@schedules.command("run")
@app_option
@url_option
@one_name
@json_option
@click.pass_obj
def run(target: Target, name: str, as_json: bool) -> None:
    """Store a job of a schedule at once; its next tick stays."""
    with target.database() as app:
        job = app.schedules.run_now(name)
    if as_json:
        print_json(job)
    else:
        known = "; it was there before: its key is held" if job.duplicate else ""
        say(f"job {job.id} is {job.state}: {job.kind}, queue {job.queue}{known}")


def _tell(schedule: Schedule, as_json: bool) -> None:
    if as_json:
        print_json(schedule_fields(schedule))
        return
    after = (
        f"paused since {_pause(schedule)}"
        if schedule.paused_at
        else f"next {as_text(schedule.next_at) or 'never'}"
    )
    say(f"schedule {schedule.name}: {schedule.spec}; {after}")
