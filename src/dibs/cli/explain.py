"""`dibs explain`: why a job is not running."""

from __future__ import annotations

import click

from dibs.cli.output import as_text, json_option, print_json, say
from dibs.cli.target import Target, app_option, url_option
from dibs.cli.values import JOB_ID


@click.command()
@app_option
@url_option
@click.argument("job_id", metavar="ID", type=JOB_ID)
@json_option
@click.pass_obj
def explain(target: Target, job_id: int, as_json: bool) -> None:
    """Say why a job is not running, what is ahead of it, and who could run it."""
    with target.database() as app:
        found = app.jobs.explain(job_id)
    if as_json:
        print_json(found)
        return
    for sentence in found.sentences:
        say(as_text(sentence))
