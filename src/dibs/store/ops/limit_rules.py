"""The rules of limits: declared in code, configured while the system runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dibs.model.limits import Rule, rule_from_json, rule_to_json
from dibs.model.times import from_micros
from dibs.store.ops.limit_keys import KeyUse, limit_uses
from dibs.store.statement import Row, Rows, Statement, Steps, operation


@dataclass(frozen=True, slots=True)
class LimitRecord:
    """A limit that has a rule, or once had one."""

    name: str
    rule: Rule | None
    """What holds: the configured rule, without one the declared one; None limits nothing."""
    declared: Rule | None
    """By the code of the worker that started last."""
    configured: Rule | None
    """By a person or program, while the system ran; wins over the declared one."""
    updated_at: datetime | None
    """When either changed last."""
    keys: list[KeyUse]
    """What is in use, no more than 100 keys."""


def _limit(row: Row, keys: list[KeyUse]) -> LimitRecord:
    name, rule, declared, configured, updated_at = row
    return LimitRecord(
        name,
        rule_from_json(rule),
        rule_from_json(declared),
        rule_from_json(configured),
        from_micros(updated_at),
        keys,
    )


@operation()
def limit_declare(rules: Mapping[str, Rule]) -> Steps[None]:
    """Store what code declares; rules that are declared no differently are left alone."""
    rows = [(name, rule_to_json(rule)) for name, rule in sorted(rules.items())]
    changed = yield Statement("limit_declare", {"limits": Rows(("name", "declared"), rows)})
    for (name,) in changed:
        yield Statement("limit_hurry", {"name": name})


@operation()
def limit_configure(name: str, rule: Rule) -> Steps[LimitRecord]:
    """Set the rule of a limit from now on."""
    configured = {"name": name, "configured": rule_to_json(rule)}
    yield Statement("limit_configure", configured)
    yield Statement("limit_hurry", {"name": name})
    return (yield from limit_get(name).steps())


@operation()
def limit_reset(name: str) -> Steps[LimitRecord]:
    """Return a limit to the rule that code declares; one that nobody configured is left alone."""
    yield Statement("limit_reset", {"name": name})
    yield Statement("limit_hurry", {"name": name})
    return (yield from limit_get(name).steps())


@operation(reads=True)
def limit_get(name: str) -> Steps[LimitRecord]:
    """Return a limit with its rule; without one where nobody said anything."""
    rows = yield Statement("limit_get", {"name": name})
    keys = yield from limit_uses(name)
    return _limit(rows[0], keys) if rows else LimitRecord(name, None, None, None, None, keys)


@operation(reads=True)
def limit_list() -> Steps[list[LimitRecord]]:
    """Return the limits that have a rule, by name."""
    rows = yield Statement("limit_list", {})
    keys = {}
    for name, *_ in rows:
        keys[name] = yield from limit_uses(name)
    return [_limit(row, keys[row[0]]) for row in rows]
