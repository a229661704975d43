"""`dibs queues`: list the policies of queues, change them while the system runs, and pause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from dibs.cli.failures import Misuse
from dibs.cli.fairness import fair_of, fair_options
from dibs.cli.keeping import keeping_options, retention_of
from dibs.cli.output import json_option, print_json, print_table, say
from dibs.cli.pausing import check_end, pause_options, paused_in_words
from dibs.cli.target import Target, app_option, url_option
from dibs.cli.values import (
    Seconds,
    WholeNumber,
    as_dict,
    number_of_priority,
    priority,
)
from dibs.model.aging import Aging
from dibs.model.job import Priority
from dibs.model.limits import MOST
from dibs.model.timeouts import SHORTEST_TIMEOUT
from dibs.store.ops.queues import Queue


@click.group()
def queues() -> None:
    """List the policies of queues, change them, pause and resume queues."""


@queues.command("list")
@app_option
@url_option
@json_option
@click.pass_obj
def list_queues(target: Target, as_json: bool) -> None:
    """List the queues that have a policy or are paused; all others are strict, and run."""
    with target.database() as app:
        found = app.queues.list()
    if as_json:
        print_json(found)
    elif found:
        columns = ("queue", "policy", "set by", "instead of", "changed", "paused")
        print_table(columns, (_row(queue) for queue in found))
    else:
        say("every queue is strict, and none is paused")


def _row(queue: Queue) -> tuple[object, ...]:
    declared = queue.declared and str(queue.declared)
    source, other = (
        ("configure", declared) if queue.configured else ("code" if declared else "", "")
    )
    return (queue.name, str(queue.policy), source, other, queue.updated_at, queue.paused)


@queues.command("configure")
@app_option
@url_option
@click.argument("name", metavar="QUEUE")
@click.option("--strict", is_flag=True, help="Strictly by priority.")
@click.option("--aging", is_flag=True, help="Let waiting jobs gain priority.")
@click.option(
    "--after",
    type=Seconds(),
    metavar="S",
    help=f"Aging: seconds until the first step. [default: {Aging.after}]",
)
@click.option(
    "--every",
    type=Seconds(),
    metavar="S",
    help=f"Aging: seconds between two steps. [default: {Aging.every}]",
)
@click.option(
    "--step",
    type=WholeNumber(min=1),
    metavar="N",
    help=f"Aging: gained with each step. [default: {Aging.step}]",
)
@click.option(
    "--ceiling", type=priority, metavar="P",
    help=f"Aging: no job ages beyond it. [default: {Priority(Aging.ceiling).name}]",
)  # fmt: skip
@click.option(
    "--weight", "weights", type=number_of_priority, multiple=True, metavar="P=N",
    help="The share of priority P and above, up to the next; may be given several times.",
)  # fmt: skip
@click.option(
    "--timeout", type=Seconds(SHORTEST_TIMEOUT), metavar="S",
    help="Seconds that an attempt may take, where neither job nor kind says. [default: no limit]",
)  # fmt: skip
@click.option(
    "--concurrency", type=WholeNumber(min=1, max=MOST), metavar="N",
    help="How many of its jobs run at once, on all workers.  [default: any number]",
)  # fmt: skip
@fair_options
@keeping_options
@json_option
@click.pass_obj
def configure(
    target: Target, /, name: str, strict: bool, aging: bool, weights: Sequence[tuple[int, int]],
    concurrency: int | None, timeout: float | None, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Set the policy of QUEUE, all of it: what is not given is as without a policy.

    Every worker follows it at its next claim. It wins over what the code declares, until
    `dibs queues reset`.

    Example: dibs queues configure mail --after 600 --every 60 --ceiling HIGH
    """
    kept, fair = retention_of(options), fair_of(options)
    given = {option: value for option, value in options.items() if value is not None}
    if not (strict or aging or given or weights or timeout or kept or concurrency or fair):
        raise Misuse(
            "which policy? give --strict, or --aging, --weight, --timeout, --concurrency, "
            "--fair-by, one of --keep-… and --max-…, or several"
        )
    if strict and (aging or given or weights):
        raise Misuse("--strict means neither aging nor weights: give it alone, or leave it out")
    ages = Aging(**given) if aging or given else None
    shares = as_dict("--weight", weights)
    with target.database() as app:
        queue = app.queues.configure(
            name, aging=ages, weights=shares, timeout=timeout, retention=kept,
            concurrency=concurrency, fair_by=fair,
        )  # fmt: skip
    _show(queue, as_json)


@queues.command("reset")
@app_option
@url_option
@click.argument("name", metavar="QUEUE")
@json_option
@click.pass_obj
def reset(target: Target, name: str, as_json: bool) -> None:
    """Return QUEUE to what the code declares.

    Where it declares nothing, that is strict order.
    """
    with target.database() as app:
        queue = app.queues.reset(name)
    _show(queue, as_json)


@queues.command("pause")
@app_option
@url_option
@click.argument("name", metavar="QUEUE")
@pause_options
@json_option
@click.pass_obj
def pause(target: Target, /, name: str, as_json: bool, **options: Any) -> None:
    """Have no job of QUEUE start, on any worker; what runs goes on, and jobs can be stored.

    Example: dibs queues pause mail --reason 'the relay is down' --author ann --for 3600
    """
    check_end(**options)
    with target.database() as app:
        queue = app.queues.pause(name, **options)
    _show_pause(queue, as_json)


@queues.command("resume")
@app_option
@url_option
@click.argument("name", metavar="QUEUE")
@json_option
@click.pass_obj
def resume(target: Target, name: str, as_json: bool) -> None:
    """Let jobs of QUEUE start again."""
    with target.database() as app:
        queue = app.queues.resume(name)
    _show_pause(queue, as_json)


def _show(queue: Queue, as_json: bool) -> None:
    if as_json:
        print_json(queue)
    else:
        say(f"queue {queue.name}: {queue.policy}")


def _show_pause(queue: Queue, as_json: bool) -> None:
    if as_json:
        print_json(queue)
    else:
        say(f"queue {queue.name}: {paused_in_words(queue.paused)}")
