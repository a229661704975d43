"""`dibs doctor`: look the database and its workers over, and say what to do."""

from __future__ import annotations

import click

from dibs.cli.failures import FAILED
from dibs.cli.output import as_text, json_option, print_json, say
from dibs.cli.target import Target, app_option, url_option


@click.command()
@app_option
@url_option
@json_option
@click.pass_obj
def doctor(target: Target, as_json: bool) -> None:
    """Look the database and its workers over, and say what to do.

    The exit code is 1 if there is a problem; warnings alone leave it 0.
    """
    with target.database() as app:
        found = app.doctor()
    if as_json:
        print_json(found)
    else:
        for finding in found.findings:
            say(f"{finding.level:<8} {finding.code:<13} {as_text(finding.message)}")
            if finding.advice:
                say(f"{'':<22} -> {as_text(finding.advice)}")
        say(found.summary)
    if not found.healthy:
        raise click.exceptions.Exit(FAILED)
