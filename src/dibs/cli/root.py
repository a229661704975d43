"""The command `dibs` itself: its subcommands, and how an error leaves the process."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from typing import NoReturn

import click

from dibs.cli.failures import FAILED, Misuse, failure_of, show_failure
from dibs.cli.output import mute, printing
from dibs.cli.target import Target, app_option, url_option

COMMANDS = {
    "worker": ("dibs.cli.worker:worker", "Run jobs until told to stop."),
    "enqueue": ("dibs.cli.enqueue:enqueue", "Store a job."),
    "jobs": ("dibs.cli.jobs:jobs", "List, show, cancel, reprioritize and reschedule jobs."),
    "dead": ("dibs.cli.dead:dead", "List, review, replay and purge dead letters."),
    "explain": ("dibs.cli.explain:explain", "Say why a job is not running."),
    "queues": ("dibs.cli.queues:queues", "List the policies of queues, change them, pause."),
    "kinds": ("dibs.cli.kinds:kinds", "List the kinds that are paused, pause and resume them."),
    "schedules": ("dibs.cli.schedules:schedules", "List, write, pause and run jobs that recur."),
    "limits": ("dibs.cli.limits:limits", "List limits with their use, and change them."),
    "stats": ("dibs.cli.database:stats", "Show how many jobs stand where."),
    "doctor": ("dibs.cli.doctor:doctor", "Look the database and its workers over."),
    "migrate": ("dibs.cli.database:migrate", "Create or upgrade the tables."),
    "bench": ("dibs.bench.command:bench", "Measure the queue on this machine."),
    "demo": ("dibs.cli.demo:demo", "See orders and their jobs run."),
}
"""Where each subcommand is found, and what the list of them says about it."""


ASKING = frozenset({"--help", "--version"})
"""Options that make any command print and do nothing else."""


class LazyGroup(click.Group):
    """Imports a subcommand when it is called, so that `--help` and the others stay fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own
        """Return the names of the subcommands that are installed."""
        return [name for name, (place, _) in COMMANDS.items() if _exists(place)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand, or return None if there is none of this name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _exists(place: str) -> bool:
    try:
        return find_spec(place.partition(":")[0]) is not None
    except ModuleNotFoundError:  # not even its package is there
        return False


@click.group(cls=LazyGroup)
@app_option
@url_option
@click.version_option(package_name="dibs", prog_name="dibs")
def cli() -> None:
    """Job queue in the database you already have; the most urgent job has first dibs.

    --app says where your code made its Dibs object, for example shop:app. Commands that need only
    the database work with --url as well. --app and --url may also stand behind the command.

    Exit codes: 0 done, 1 failed, 2 bad usage.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; what the user can put right is one line, no traceback."""
    # What goes wrong is raised too. A driver that logs while an interrupted command lets go of it
    # is heard only where somebody has set up logging.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())
    sys.exit(_run(list(sys.argv[1:] if arguments is None else arguments)))


def _run(arguments: list[str]) -> int:
    try:
        _check_text(arguments)
        with (
            printing() if ASKING.intersection(arguments) else nullcontext(),
            cli.make_context("dibs", arguments, obj=Target()) as context,
        ):
            cli.invoke(context)
        with printing():
            pass  # whatever is still to be written
    except click.exceptions.Exit as end:
        return end.exit_code
    except BrokenPipeError:  # in the middle of what it does, as in the demo
        mute()
        return FAILED
    except (Exception, KeyboardInterrupt) as error:
        failure = failure_of(error)
        if failure is None:
            raise
        return show_failure(failure)
    return 0


def _check_text(arguments: Sequence[str]) -> None:
    """Refuse bytes that are no text in the encoding of the locale.

    Raises:
        Misuse: there are some.
    """
    for argument in arguments:
        if any("\ud800" <= char <= "\udfff" for char in argument):
            raise Misuse(
                f"argument {os.fsencode(argument)!r} is not text in the encoding "
                f"{sys.getfilesystemencoding()!r} of this locale; use a UTF-8 locale, for example "
                "LC_ALL=C.UTF-8"
            )
