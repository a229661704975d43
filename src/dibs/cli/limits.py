"""`dibs limits`: list limits with what is in use, and change them while the system runs."""

from __future__ import annotations

import click

from dibs.cli.failures import Misuse
from dibs.cli.output import json_option, print_json, print_table, say
from dibs.cli.target import Target, app_option, url_option
from dibs.cli.values import Seconds, WholeNumber
from dibs.model.limits import MOST
from dibs.store.ops.limit_keys import KeyUse
from dibs.store.ops.limit_rules import LimitRecord

NAMED = 5
"""Jobs that are named; others are counted."""


@click.group()
def limits() -> None:
    """List limits with what is in use, and change them."""


@limits.command("list")
@app_option
@url_option
@json_option
@click.pass_obj
def list_limits(target: Target, as_json: bool) -> None:
    """List the limits that have a rule, or had one."""
    with target.database() as app:
        found = app.limits.list()
    if as_json:
        print_json(found)
    elif found:
        columns = ("limit", "allows", "set by", "instead of", "taken", "waiting", "changed")
        print_table(columns, (_row(limit) for limit in found))
    else:
        say("no limit was declared or configured")


def _row(limit: LimitRecord) -> tuple[object, ...]:
    declared = limit.declared and str(limit.declared)
    source, other = (
        ("configure", declared) if limit.configured else ("code" if declared else "", "")
    )
    taken, waiting = (sum(key.taken for key in limit.keys), sum(key.waiting for key in limit.keys))
    return (limit.name, _rule(limit), source, other, taken, waiting, limit.updated_at)


def _rule(limit: LimitRecord) -> str:
    return "any number" if limit.rule is None else str(limit.rule)


@limits.command("show")
@app_option
@url_option
@click.argument("name", metavar="LIMIT")
@json_option
@click.pass_obj
def show(target: Target, name: str, as_json: bool) -> None:
    """Show LIMIT with its keys: who holds slots, how many jobs wait, and until when."""
    with target.database() as app:
        limit = app.limits.get(name)
    if as_json:
        print_json(limit)
        return
    say(f"limit {limit.name}: {_rule(limit)}")
    if limit.keys:
        columns = ("key", "taken", "by jobs", "waiting", "next at", "held until")
        print_table(columns, (_key(key) for key in limit.keys))


def _key(key: KeyUse) -> tuple[object, ...]:
    named = ", ".join(str(job_id) for job_id in key.holders[:NAMED])
    more = f" and {len(key.holders) - NAMED} more" if len(key.holders) > NAMED else ""
    return (key.value, key.taken, named + more, key.waiting, key.opens_at, key.held_until)


@limits.command("configure")
@app_option
@url_option
@click.argument("name", metavar="LIMIT")
@click.option(
    "--concurrency", type=WholeNumber(min=1, max=MOST), metavar="N",
    help="How many jobs run at once.",
)  # fmt: skip
@click.option(
    "--rate", type=WholeNumber(min=1, max=MOST), metavar="N", help="How many start per period."
)
@click.option(
    "--per", type=Seconds(0.001), metavar="S", default=1.0, show_default=True,
    help="Rate: seconds of its period.",
)  # fmt: skip
@click.option(
    "--burst", type=WholeNumber(min=1, max=MOST), metavar="N",
    help="Rate: how many may start at once after a pause. [default: what it gives in a second]",
)  # fmt: skip
@json_option
@click.pass_obj
def configure(
    target: Target, /, name: str, concurrency: int | None, rate: int | None, per: float,
    burst: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Set what LIMIT allows, for each value of its key.

    Every worker follows it at its next claim. It wins over what the code declares, until
    `dibs limits reset`.

    Example: dibs limits configure stripe --rate 50 --burst 10
    """
    if (concurrency is None) == (rate is None):
        raise Misuse("which limit? give one of --concurrency and --rate")
    with target.database() as app:
        limit = app.limits.configure(name, concurrency=concurrency, rate=rate, per=per, burst=burst)
    _tell(limit, as_json)


@limits.command("reset")
@app_option
@url_option
@click.argument("name", metavar="LIMIT")
@json_option
@click.pass_obj
def reset(target: Target, name: str, as_json: bool) -> None:
    """Return LIMIT to what the code declares.

    Where it declares nothing, that is any number.
    """
    with target.database() as app:
        limit = app.limits.reset(name)
    _tell(limit, as_json)


def _tell(limit: LimitRecord, as_json: bool) -> None:
    if as_json:
        print_json(limit)
    else:
        say(f"limit {limit.name}: {_rule(limit)}")
