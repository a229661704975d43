"""`dibs kinds`: list the kinds that are paused, pause and resume them."""

from __future__ import annotations

from typing import Any

import click

from dibs.cli.output import json_option, print_json, print_table, say
from dibs.cli.pausing import check_end, pause_options, paused_in_words
from dibs.cli.target import Target, app_option, url_option
from dibs.store.ops.pauses import Kind


@click.group()
def kinds() -> None:
    """List the kinds that are paused, pause and resume them."""


@kinds.command("list")
@app_option
@url_option
@json_option
@click.pass_obj
def list_kinds(target: Target, as_json: bool) -> None:
    """List the kinds that are paused."""
    with target.database() as app:
        found = app.kinds.list()
    if as_json:
        print_json(found)
    elif found:
        print_table(("kind", "paused"), ((kind.name, kind.paused) for kind in found))
    else:
        say("no kind is paused")


@kinds.command("pause")
@app_option
@url_option
@click.argument("name", metavar="KIND")
@pause_options
@json_option
@click.pass_obj
def pause(target: Target, /, name: str, as_json: bool, **options: Any) -> None:
    """Have no job of KIND start, on any worker; what runs goes on, and jobs can be stored.

    Example: dibs kinds pause send_mail --reason 'the template is broken' --author ann --for 3600
    """
    check_end(**options)
    with target.database() as app:
        kind = app.kinds.pause(name, **options)
    _show(kind, as_json)


@kinds.command("resume")
@app_option
@url_option
@click.argument("name", metavar="KIND")
@json_option
@click.pass_obj
def resume(target: Target, name: str, as_json: bool) -> None:
    """Let jobs of KIND start again."""
    with target.database() as app:
        kind = app.kinds.resume(name)
    _show(kind, as_json)


def _show(kind: Kind, as_json: bool) -> None:
    if as_json:
        print_json(kind)
    else:
        say(f"kind {kind.name}: {paused_in_words(kind.paused)}")
