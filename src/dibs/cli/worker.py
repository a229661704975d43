"""`dibs worker`: run jobs, in this process or in several under a supervisor."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, get_args

import click

from dibs.app import Dibs
from dibs.cli.failures import FAILED, failure_of
from dibs.cli.program import Program
from dibs.cli.target import Target, app_option
from dibs.cli.values import (
    NEVER,
    Seconds,
    SecondsOr,
    WholeNumber,
    as_dict,
    as_pair,
    memory,
    number_of_priority,
    priority,
    weight_of_queue,
)
from dibs.telemetry import LogFormat, configure_logging
from dibs.worker.link import ChildLink

LEVELS = ("debug", "info", "warning", "error")

MOST_PROCESSES = 256
"""More on one machine is a slip of the finger, and would bring it down."""


def _default(option: str) -> Any:
    return inspect.signature(Dibs.worker).parameters[option].default


@click.command()
@app_option
@click.option(
    "--queue", "queues", type=weight_of_queue, multiple=True, metavar="NAME[=WEIGHT]",
    help="Serve this queue; may be given several times. With weights they take turns in "
    "proportion. [default: those of the handlers]",
)  # fmt: skip
@click.option(
    "--concurrency", type=WholeNumber(min=1), default=_default("concurrency"),
    show_default=True, metavar="N", help="How many jobs run at once, in each process.",
)  # fmt: skip
@click.option("--min-priority", type=priority, metavar="P", help="Take only jobs from P up.")
@click.option("--max-priority", type=priority, metavar="P", help="Take only jobs up to P.")
@click.option(
    "--reserve", type=number_of_priority, multiple=True, metavar="P=N",
    help="Keep N slots for jobs from priority P up; may be given several times.",
)  # fmt: skip
@click.option(
    "--processes", type=WholeNumber(1, MOST_PROCESSES), metavar="N",
    help="Run N worker processes and restart those that die. [default: only this process]",
)  # fmt: skip
@click.option(
    "--grace", type=Seconds(), default=_default("grace"), show_default=True,
    metavar="S", help="Seconds that running jobs have to finish when it stops.",
)  # fmt: skip
@click.option(
    "--poll", type=Seconds(0.001), default=_default("poll"), show_default=True,
    metavar="S", help="Seconds between two looks when no nudge comes.",
)  # fmt: skip
@click.option(
    "--give-up-after", type=SecondsOr(NEVER), default=_default("give_up_after"),
    show_default=True, metavar="S", help="Seconds without reaching the database after which it "
    "ends with exit code 1; or never.",
)  # fmt: skip
@click.option(
    "--max-jobs", type=WholeNumber(min=1), metavar="N",
    help="Make room for a fresh worker after N jobs. [default: never]",
)  # fmt: skip
@click.option(
    "--max-memory", type=memory, metavar="SIZE",
    help="Make room for a fresh worker at this resident memory, as in 512MB. [default: never]",
)  # fmt: skip
@click.option(
    "--max-leaked", type=WholeNumber(min=1), default=_default("max_leaked"), show_default=True,
    metavar="N", help="Make room for a fresh worker when so many handlers did not end in time.",
)  # fmt: skip
@click.option("--until-idle", is_flag=True, help="Stop when nothing is left that could start now.")
@click.option(
    "--log-format", type=click.Choice(get_args(LogFormat)), default="text", show_default=True,
    help="Of the events on standard error.",
)  # fmt: skip
@click.option(
    "--log-level", type=click.Choice(LEVELS, case_sensitive=False), default="info",
    show_default=True, help="The least important events to show.",
)  # fmt: skip
@click.option("--supervised", type=int, hidden=True, help="The line to the supervisor.")
@click.pass_obj
def worker(
    target: Target, /, processes: int | None, supervised: int | None, log_format: LogFormat,
    log_level: str, **options: Any,
) -> None:  # fmt: skip
    """Run jobs until told to stop.

    The first SIGTERM or SIGINT (Ctrl-C) claims no more jobs and lets running ones finish within
    the grace time; what doesn't finish goes back to its queue without losing an attempt. The
    second stops at once.

    A worker that makes room for a fresh one stops gracefully too. Under --processes it is replaced
    at once; without, it starts anew in the same process.
    """
    serving = _serving(options)
    configure_logging(log_format, getattr(logging, log_level.upper()))
    if processes is not None:
        options |= {"log_format": log_format, "log_level": log_level}
        _supervise(target.app_name, processes, options)
    elif supervised is not None:
        with _reporting(ChildLink(supervised)) as link:
            if reason := _work(target, link, **options | serving):
                link.report_recycling(reason)
    else:
        program = Program()
        if _work(target, None, **options | serving):
            program.start_anew()


def _serving(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options say of queues and slots, as `app.worker` takes it."""
    queues = as_dict("--queue", options["queues"])
    weighted = any(queues.values())
    weights = {name: weight or 1 for name, weight in queues.items()}
    return {
        "queues": (weights if weighted else list(queues)) or None,
        "reserve": as_dict("--reserve", options["reserve"]),
    }


def _work(
    target: Target, link: ChildLink | None, *, min_priority: int | None, max_priority: int | None,
    until_idle: bool, give_up_after: float | str, **options: Any,
) -> str | None:  # fmt: skip
    """Run a worker, and return why it wants to be replaced, if it does."""
    options["give_up_after"] = None if give_up_after == NEVER else give_up_after
    with closing(target.load_app()) as app:
        worker = app.worker(priorities=(min_priority, max_priority), **options)
        if link is not None:
            link.follow(worker)
        worker.run(until_idle=until_idle)
    return worker.recycling


@contextmanager
def _reporting(link: ChildLink) -> Iterator[ChildLink]:
    """Leave it to the supervisor to show the error that ends this child."""
    try:
        yield link
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            raise
        link.report_failure(failure.message)
        raise click.exceptions.Exit(failure.exit_code) from error


def _supervise(app: str, processes: int, options: Mapping[str, Any]) -> None:
    from dibs.worker.supervisor import Supervisor

    supervisor = Supervisor(
        ["--app", app, "worker", *_arguments(options)],
        processes,
        grace=options["grace"],
        until_idle=options["until_idle"],
    )
    if not supervisor.run():
        raise click.exceptions.Exit(FAILED)


def _arguments(options: Mapping[str, Any]) -> Iterator[str]:
    """Return the options of the worker as they are written on a command line."""
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, tuple):
            yield from (f"{flag.removesuffix('s')}={as_pair(*one)}" for one in value)
        elif value is True:
            yield flag
        elif value is not False and value is not None:
            yield f"{flag}={value}"
