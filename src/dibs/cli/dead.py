"""`dibs dead`: list, show, annotate, review, replay and purge dead letters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from dibs.cli.failures import Misuse, summary
from dibs.cli.jobs import fields_of, show_attempt
from dibs.cli.output import (
    advancing,
    as_text,
    json_option,
    print_fields,
    print_json,
    print_table,
    say,
)
from dibs.cli.target import Target, app_option, url_option
from dibs.cli.values import JOB_ID, WholeNumber, json_object, moment
from dibs.client.dead import Dead
from dibs.client.jobs import LIST_LIMIT
from dibs.errors import DibsError
from dibs.insights import to_json
from dibs.model.dead import MOST_PER_MINUTE, DeadFilters, DeadLetter, DeadResult
from dibs.model.job import DeadReason

F = TypeVar("F", bound=Callable[..., Any])

one_id = click.argument("job_id", metavar="ID", type=JOB_ID)
some_ids = click.argument("job_ids", metavar="[ID...]", type=JOB_ID, nargs=-1)
all_option = click.option("--all", "everything", is_flag=True, help="All that match the filters.")

FILTERS = (
    click.option("--kind", metavar="NAME", help="Only of this kind."),
    click.option("--queue", metavar="NAME", help="Only of this queue."),
    click.option(
        "--reason", type=click.Choice([str(reason) for reason in DeadReason]), help="Only these."
    ),
    click.option("--error", metavar="TEXT", help="Only where the last error holds this text."),
    click.option(
        "--died-after", type=moment, metavar="TIME", help="Only from then on, in ISO 8601."
    ),
    click.option("--died-before", type=moment, metavar="TIME", help="Only before then."),
    click.option(
        "--reviewed/--unreviewed", default=None, help="Only those that are reviewed, or are not."
    ),
)


def filter_options(command: F) -> F:
    """Add the options that pick dead letters; what is given comes as keyword arguments."""
    for option in reversed(FILTERS):
        command = option(command)
    return command


def _given(filters: dict[str, str | datetime | bool | None]) -> DeadFilters:
    return {name: value for name, value in filters.items() if value is not None}  # type: ignore[return-value]


@click.group()
def dead() -> None:
    """List, show, annotate, review, replay and purge dead letters."""


# --- Looking --------------------------------------------------------------------------------


@dead.command("list")
@app_option
@url_option
@filter_options
@click.option(
    "--limit", type=WholeNumber(1, LIST_LIMIT), default=50, show_default=True, metavar="N",
    help="How many at most.",
)  # fmt: skip
@click.option("--after", type=JOB_ID, metavar="ID", help="Go on behind this one.")
@json_option
@click.pass_obj
def list_letters(
    target: Target, /, limit: int, after: int | None, as_json: bool, **filters: Any
) -> None:
    """List dead letters, those that died last first."""
    with target.database() as app:
        last = None if after is None else app.dead.get(after)
        found = app.dead.list(limit=limit, after=last, **_given(filters))
    if as_json:
        print_json(found)
        return
    columns = ("id", "died at", "reason", "kind", "queue", "attempt", "reviewed", "notes", "error")
    print_table(columns, (_row(letter) for letter in found))
    if len(found) == limit:
        click.echo(f"The first {limit}; --after {found[-1].job.id} shows the next.", err=True)


def _row(letter: DeadLetter) -> tuple[object, ...]:
    job = letter.job
    reviewed = "" if letter.reviewed_at is None else letter.reviewed_by or "yes"
    attempt = f"{job.attempt}/{job.max_attempts}"
    return (
        job.id, letter.died_at, letter.reason, job.kind, job.queue, attempt, reviewed,
        len(letter.notes), job.error,
    )  # fmt: skip


@dead.command("count")
@app_option
@url_option
@filter_options
@json_option
@click.pass_obj
def count(target: Target, /, as_json: bool, **filters: Any) -> None:
    """Count dead letters."""
    with target.database() as app:
        found = app.dead.count(**_given(filters))
    print_json({"count": found}) if as_json else say(str(found))


@dead.command("show")
@app_option
@url_option
@one_id
@json_option
@click.pass_obj
def show(target: Target, job_id: int, as_json: bool) -> None:
    """Show a dead letter, with its notes, its attempts and their tracebacks."""
    with target.database() as app:
        letter = app.dead.get(job_id)
        attempts = app.jobs.attempts(job_id)
    if as_json:
        print_json({**to_json(letter), "attempts": to_json(attempts)})
        return
    fields = fields_of(letter.job)
    fields["died_at"] = fields.pop("finished_at")
    fields |= {"reviewed_at": letter.reviewed_at, "reviewed_by": letter.reviewed_by}
    print_fields(fields)
    for note in letter.notes:
        author = f" {as_text(note.author)}" if note.author else ""
        say(f"\nnote{author}, {as_text(note.at)}")
        for line in note.text.splitlines():
            say(f"  {as_text(line)}")
    for attempt in attempts:
        show_attempt(attempt)


# --- Changing -------------------------------------------------------------------------------


@dead.command("annotate")
@app_option
@url_option
@one_id
@click.argument("text", metavar="TEXT")
@click.option("--author", metavar="NAME", help="Who writes it.")
@json_option
@click.pass_obj
def annotate(target: Target, job_id: int, text: str, author: str | None, as_json: bool) -> None:
    """Add a note to a dead letter."""
    with target.database() as app:
        letter = app.dead.annotate(job_id, text, author=author)
    if as_json:
        print_json(letter)
    else:
        say(f"annotated: {job_id}")


@dead.command("review")
@app_option
@url_option
@some_ids
@all_option
@filter_options
@click.option("--author", metavar="NAME", help="Who reviewed them.")
@click.option("--note", metavar="TEXT", help="A note for each.")
@click.option("--undo", is_flag=True, help="Mark them as not reviewed; needs IDs.")
@json_option
@click.pass_obj
def review(
    target: Target, /, job_ids: Sequence[int], everything: bool, author: str | None,
    note: str | None, undo: bool, as_json: bool, **filters: Any,
) -> None:  # fmt: skip
    """Mark dead letters as reviewed."""
    chosen = _choice(job_ids, everything, filters)
    if undo and (everything or author or note):
        raise Misuse("--undo takes the IDs alone: leave --all, --author and --note out")
    with target.database() as app:
        desk = app.dead
        result = (
            desk.unreview(job_ids)
            if undo
            else desk.review(job_ids, author=author, note=note)
            if job_ids
            else _tracked(desk, desk.review_all, chosen, "Reviewing", author=author, note=note)
        )
    _tell("unreviewed" if undo else "reviewed", result, as_json)


@dead.command("replay")
@app_option
@url_option
@some_ids
@all_option
@filter_options
@click.option(
    "--args", "new_args", type=json_object, metavar="JSON",
    help="Other args, for one ID: an object by name; - reads it from standard input.",
)  # fmt: skip
@click.option(
    "--per-minute", type=WholeNumber(1, MOST_PER_MINUTE), metavar="N",
    help="At most so many start in a minute.",
)  # fmt: skip
@json_option
@click.pass_obj
def replay(
    target: Target, /, job_ids: Sequence[int], everything: bool, new_args: dict[str, Any] | None,
    per_minute: int | None, as_json: bool, **filters: Any,
) -> None:  # fmt: skip
    """Give dead letters new attempts.

    They keep their ids, attempts and notes. One whose unique key another job holds is left.
    """
    chosen = _choice(job_ids, everything, filters)
    if new_args is not None and len(job_ids) != 1:
        raise Misuse("--args is for one dead letter: give its ID alone")
    with target.database() as app:
        desk = app.dead
        if new_args is not None:
            result = desk.replay(job_ids[0], args=new_args)
        elif job_ids:
            result = desk.replay(job_ids, per_minute=per_minute)
        else:
            result = _tracked(desk, desk.replay_all, chosen, "Replaying", per_minute=per_minute)
    _tell("replayed", result, as_json)


@dead.command("purge")
@app_option
@url_option
@some_ids
@all_option
@filter_options
@click.option("--yes", is_flag=True, help="Do not ask before more than one is removed.")
@json_option
@click.pass_obj
def purge(
    target: Target, /, job_ids: Sequence[int], everything: bool, yes: bool, as_json: bool,
    **filters: Any,
) -> None:  # fmt: skip
    """Remove dead letters for good, with their attempts and notes."""
    chosen = _choice(job_ids, everything, filters)
    with target.database() as app:
        many = len(set(job_ids)) if job_ids else app.dead.count(**chosen)
        if many > 1 and not yes:
            _confirm(f"Remove {many} dead letters for good?")
        result = (
            app.dead.purge(job_ids)
            if job_ids
            else _tracked(app.dead, app.dead.purge_all, chosen, "Purging")
        )
    _tell("purged", result, as_json)


def _choice(job_ids: Sequence[int], everything: bool, filters: dict[str, Any]) -> DeadFilters:
    """Return the filters of --all, if it is given in place of ids."""
    chosen = _given(filters)
    if job_ids and (everything or chosen):
        raise Misuse("give IDs, or --all with filters, not both")
    if not job_ids and not everything:
        raise Misuse("which dead letters? give their IDs, or --all, with or without filters")
    return chosen


def _confirm(question: str) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise Misuse(f"{question} There is nobody to ask here: give --yes if that is meant")
    click.confirm(question, abort=True, err=True)


def _tracked(
    desk: Dead, change: Callable[..., DeadResult], chosen: DeadFilters, what: str, **options: Any
) -> DeadResult:
    """Change all that match, with a progress bar."""
    with advancing(desk.count(**chosen), what) as advance:
        return change(everything=True, progress=advance, **options, **chosen)


def _tell(changed: str, result: DeadResult, as_json: bool) -> None:
    """Print how many were `changed`, and fail where some were refused."""
    if as_json:
        problems = [{"id": one.job_id, "error": str(one)} for one in result.refused]
        print_json({changed: result.done, "refused": problems})
    else:
        say(f"{changed}: {result.done}")
    if result.refused:
        raise DibsError(summary(result.refused))
