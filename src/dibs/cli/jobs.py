"""`dibs jobs`: list, show, cancel, reprioritize and reschedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import click

from dibs.cli.failures import Misuse, summary
from dibs.cli.output import (
    as_text,
    json_option,
    print_fields,
    print_json,
    print_table,
    say,
    tracked,
)
from dibs.cli.target import Target, app_option, url_option
from dibs.cli.values import JOB_ID, Seconds, WholeNumber, moment, priority
from dibs.client.jobs import LIST_LIMIT, Jobs
from dibs.errors import DibsError, JobNotFoundError, JobStateError
from dibs.insights import to_json
from dibs.model.job import Job, State
from dibs.store.ops.jobs import Attempt

many_ids = click.argument("job_ids", metavar="ID...", type=JOB_ID, nargs=-1, required=True)


@click.group()
def jobs() -> None:
    """List, show, cancel, reprioritize and reschedule jobs."""


@jobs.command("list")
@app_option
@url_option
@click.option("--state", type=click.Choice([str(state) for state in State]), help="Only these.")
@click.option("--kind", metavar="NAME", help="Only of this kind.")
@click.option("--queue", metavar="NAME", help="Only of this queue.")
@click.option(
    "--limit", type=WholeNumber(1, LIST_LIMIT), default=50, show_default=True, metavar="N",
    help="How many at most.",
)  # fmt: skip
@json_option
@click.pass_obj
def list_jobs(
    target: Target,
    state: str | None,
    kind: str | None,
    queue: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List jobs: ready ones in the order they will run, most others the newest first."""
    with target.database() as app:
        found = app.jobs.list(state=state, kind=kind, queue=queue, limit=limit)
    if as_json:
        print_json(found)
        return
    columns = ("id", "state", "kind", "queue", "priority", "attempt", "scheduled at", "error")
    print_table(columns, (_row(job) for job in found))
    if len(found) == limit:
        click.echo(f"The first {limit}; --limit shows more.", err=True)


def _row(job: Job) -> tuple[object, ...]:
    attempt = f"{job.attempt}/{job.max_attempts}"
    error = job.error or job.reason
    return (
        job.id, job.state, job.kind, job.queue, _priority(job), attempt, job.scheduled_at, error
    )  # fmt: skip


def _priority(job: Job) -> object:
    """Return a priority, and behind an arrow what it has grown to."""
    if job.effective_priority == job.priority:
        return job.priority
    return f"{job.priority}→{job.effective_priority}"


@jobs.command("show")
@app_option
@url_option
@click.argument("job_id", metavar="ID", type=JOB_ID)
@json_option
@click.pass_obj
def show(target: Target, job_id: int, as_json: bool) -> None:
    """Show a job, with its attempts and their tracebacks."""
    with target.database() as app:
        job = app.jobs.get(job_id)
        attempts = app.jobs.attempts(job_id)
    if as_json:
        print_json({**to_json(job), "attempts": to_json(attempts)})
        return
    print_fields(fields_of(job))
    if job.state is State.DEAD:
        say(f"{'more':<14}dibs dead show {job.id}")
    for attempt in attempts:
        show_attempt(attempt)


def fields_of(job: Job) -> dict[str, object]:
    """Return the fields of a job as they are shown."""
    shown = {name: getattr(job, name) for name in job.__dataclass_fields__}
    shown["priority"] = _priority(job)
    del shown["effective_priority"]
    return shown


def show_attempt(attempt: Attempt) -> None:
    """Print the record of an attempt, and its traceback."""
    took = ""
    if attempt.finished_at is not None:
        took = f"{(attempt.finished_at - attempt.started_at).total_seconds():.3f} s, "
    say(
        f"\nattempt {attempt.attempt} {attempt.outcome.replace('_', ' ')}: "
        f"{as_text(attempt.started_at)}, {took}on {as_text(attempt.worker)}"
    )
    if attempt.error is not None:
        say(f"  {as_text(attempt.error_type)}: {as_text(attempt.error)}")
    for line in (attempt.traceback or "").splitlines():
        say(f"  {as_text(line)}")


@jobs.command("cancel")
@app_option
@url_option
@many_ids
@click.option("--reason", help="Kept with the jobs.")
@json_option
@click.pass_obj
def cancel(target: Target, job_ids: Sequence[int], reason: str | None, as_json: bool) -> None:
    """Cancel jobs.

    The worker of one that runs is told, and sees it within a second. Each is cancelled by itself;
    if some cannot be, the others are.
    """
    done, refused = _change_each(
        target, job_ids, "Cancelling", lambda desk, job_id: desk.cancel(job_id, reason)
    )
    told = [job for job in done if job.cancelling]
    at_once = [job for job in done if not job.cancelling]
    _tell({"cancelled": at_once, "cancelling": told}, refused, as_json)


@jobs.command("reprioritize")
@app_option
@url_option
@many_ids
@click.option(
    "--priority", type=priority, required=True, metavar="P",
    help="LOW, NORMAL, HIGH, CRITICAL or an integer.",
)  # fmt: skip
@json_option
@click.pass_obj
def reprioritize(target: Target, job_ids: Sequence[int], priority: int, as_json: bool) -> None:
    """Change the priority of jobs that have not started.

    Each is changed by itself; if some cannot be, the others are.
    """
    done, refused = _change_each(
        target, job_ids, "Reprioritizing", lambda desk, job_id: desk.reprioritize(job_id, priority)
    )
    _tell({"reprioritized": done}, refused, as_json)


@jobs.command("reschedule")
@app_option
@url_option
@many_ids
@click.option("--delay", type=Seconds(), metavar="S", help="Seconds from now until they may start.")
@click.option(
    "--scheduled-at", type=moment, metavar="ISO",
    help="From when they may start, for example 2030-01-31T08:00:00Z.",
)  # fmt: skip
@json_option
@click.pass_obj
def reschedule(
    target: Target,
    job_ids: Sequence[int],
    delay: float | None,
    scheduled_at: datetime | None,
    as_json: bool,
) -> None:
    """Give jobs that have not started another time to start.

    Each is changed by itself; if some cannot be, the others are.
    """
    if (delay is None) == (scheduled_at is None):
        raise Misuse("when are they to start? give --delay or --scheduled-at")
    done, refused = _change_each(
        target, job_ids, "Rescheduling",
        lambda desk, job_id: desk.reschedule(job_id, delay=delay, scheduled_at=scheduled_at),
    )  # fmt: skip
    _tell({"rescheduled": done}, refused, as_json)


def _change_each(
    target: Target, job_ids: Sequence[int], what: str, change: Callable[[Jobs, int], Job]
) -> tuple[list[Job], dict[int, DibsError]]:
    """Change jobs one by one; return those that were, and why the others were not."""
    done: list[Job] = []
    refused: dict[int, DibsError] = {}
    with target.database() as app:
        for job_id in tracked(list(dict.fromkeys(job_ids)), what):
            try:
                done.append(change(app.jobs, job_id))
            except (JobNotFoundError, JobStateError) as error:
                refused[job_id] = error
    return done, refused


WORDS = {"cancelling": "running, and their workers are told"}


def _tell(changed: Mapping[str, list[Job]], refused: dict[int, DibsError], as_json: bool) -> None:
    """Print which jobs were changed, and how; fail where some were not."""
    if as_json:
        problems = [{"id": job_id, "error": str(error)} for job_id, error in refused.items()]
        print_json({**changed, "refused": problems})
    else:
        for how, done in changed.items():
            if done:
                say(f"{WORDS.get(how, how)}: {' '.join(str(job.id) for job in done)}")
    if refused:
        raise DibsError(summary(list(refused.values())))
