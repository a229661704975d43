"""`dibs enqueue`: one job, by the name of its kind."""

from __future__ import annotations

from typing import Any

import click

from dibs.cli.output import as_text, json_option, print_json, say
from dibs.cli.target import Target, app_option
from dibs.cli.values import Seconds, WholeNumber, json_object, moment, priority
from dibs.model.job import State
from dibs.model.unique import Unique


@click.command()
@click.argument("kind")
@click.argument("args", metavar="JSON", type=json_object, default="{}")
@app_option
@click.option("--queue", metavar="NAME", help="Where it goes. [default: the handler's]")
@click.option(
    "--priority", type=priority, metavar="P",
    help="LOW, NORMAL, HIGH, CRITICAL or an integer. [default: the handler's]",
)  # fmt: skip
@click.option("--delay", type=Seconds(), metavar="S", help="Seconds from now until it may start.")
@click.option(
    "--scheduled-at", type=moment, metavar="ISO",
    help="From when it may start, for example 2030-01-31T08:00:00Z.",
)  # fmt: skip
@click.option("--max-attempts", type=WholeNumber(), metavar="N", help="[default: the handler's]")
@click.option(
    "--unique/--not-unique", default=None,
    help="Not beside an active job of the same args. [default: the handler's]",
)  # fmt: skip
@click.option("--unique-key", metavar="KEY", help="Not beside an active job of this key.")
@click.option(
    "--idempotency-key", metavar="KEY", help="The same job for the same key, for 24 hours."
)
@json_option
@click.pass_obj
def enqueue(
    target: Target,
    /,
    kind: str,
    args: dict[str, Any],
    as_json: bool,
    unique: bool | None,
    unique_key: str | None,
    **options: Any,
) -> None:
    """Store a job of KIND with args from a JSON object.

    JSON is checked against the handler; "-" reads it from standard input.

    Example: dibs --app shop:app enqueue send_confirmation '{"order_id": 1}' --priority HIGH
    """
    overrides = {name: value for name, value in options.items() if value is not None}
    if unique_key is not None:
        if unique is False:
            raise click.UsageError("--unique-key and --not-unique: give one of them")
        overrides["unique"] = Unique(key=unique_key.replace("{", "{{").replace("}", "}}"))
    elif unique is not None:
        overrides["unique"] = Unique() if unique else None
    with target.handlers() as app:
        job = app.enqueue(kind, args, **overrides)
    if as_json:
        print_json(job)
    else:
        due = f", due {as_text(job.scheduled_at)}" if job.state is State.SCHEDULED else ""
        known = "; it was there before: its key is held" if job.duplicate else ""
        say(
            f"job {job.id} is {job.state}: {job.kind}, queue {job.queue}, "
            f"priority {job.priority}{due}{known}"
        )
