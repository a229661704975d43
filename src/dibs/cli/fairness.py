"""The options that say how the tenants of a queue take turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dibs.cli.failures import Misuse
from dibs.cli.values import as_dict, priority, weight_of_queue
from dibs.model.fair import Fair

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = (
    click.option(
        "--fair-by", metavar="ARG",
        help="The arg whose values, tenants say, take turns.  [default: none]",
    ),
    click.option(
        "--tenant", "tenants", type=weight_of_queue, multiple=True, metavar="VALUE=N",
        help="The weight of a value of --fair-by; may be given several times.  [default: 1]",
    ),
    click.option(
        "--exempt", type=priority, metavar="P",
        help="Jobs of this priority and above take no part in --fair-by.  [default: none]",
    ),
)  # fmt: skip


def fair_options(command: F) -> F:
    """Add the options of a fair queue, which come as keyword arguments."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def fair_of(options: dict[str, Any]) -> Fair | None:
    """Take the options of a fair queue out of `options`; return what they say, None if nothing."""
    by, tenants, exempt = (options.pop(name) for name in ("fair_by", "tenants", "exempt"))
    if by is None:
        if tenants or exempt is not None:
            raise Misuse("--tenant and --exempt say more of --fair-by: give that too")
        return None
    weights = as_dict("--tenant", tenants)
    if lacking := next((tenant for tenant, weight in weights.items() if weight is None), None):
        raise Misuse(f"--tenant {lacking}: expected a value and its weight, as in {lacking}=3")
    return Fair(by, weights, exempt)
