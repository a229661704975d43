"""The options that make jobs unique: `unique`, and what is short for a combination with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dibs.errors import InvalidJobError
from dibs.model.unique import Unique, check_key, check_period

if TYPE_CHECKING:
    from dibs.client.options import Options, Overrides

NAMES_ONLY = Unique()


def unique_changes(options: Options, overrides: Overrides) -> dict[str, object]:
    """Return what `overrides` change about the keys of jobs.

    Of `unique`, `debounce` and `throttle`, a call that names one replaces what was declared.

    Raises:
        InvalidJobError: values that are out of range, or contradict each other.
    """
    changes = _idempotency_changes(overrides)
    if not overrides.keys() & {"unique", "debounce", "throttle"}:
        return changes
    if "debounce" in overrides and "throttle" in overrides:
        raise InvalidJobError("debounce and throttle are given both; give one of them")
    if options.debounced:
        changes["delay"] = 0
    changes["debounced"] = "debounce" in overrides
    if "debounce" in overrides:
        changes["delay"] = check_period(overrides["debounce"], "debounce")
        changes["scheduled_at"] = None
        named = _named(options, overrides, "debounce")
        changes["unique"] = replace(named, during="waiting", on_conflict="replace")
    elif "throttle" in overrides:
        check_period(overrides["throttle"], "throttle")  # Unique would name it `during`
        named = _named(options, overrides, "throttle")
        changes["unique"] = replace(named, during=overrides["throttle"], on_conflict="skip")
    else:
        changes["unique"] = _checked(overrides["unique"])
    return changes


def _named(options: Options, overrides: Overrides, option: str) -> Unique:
    """Return the `unique` that names the key of a debounce or throttle, and says no more."""
    if "unique" not in overrides:
        declared = options.unique or NAMES_ONLY
        return Unique(declared.by, declared.key)
    named = _checked(overrides["unique"])
    if named is None or replace(named, by=NAMES_ONLY.by, key=None) != NAMES_ONLY:
        raise InvalidJobError(
            f"{option} and unique={named!r} contradict each other: {option} itself says during and "
            f"on_conflict; give only the key, as in unique=Unique(by=[…]), or leave one out"
        )
    return named


def _checked(unique: Unique | None) -> Unique | None:
    if unique is not None and not isinstance(unique, Unique):
        raise InvalidJobError(
            f'unique={unique!r}: expected a Unique, for example Unique(by=["order_id"]), or None'
        )
    return unique


def _idempotency_changes(overrides: Overrides) -> dict[str, object]:
    changes: dict[str, object] = {}
    if "idempotency_key" in overrides:
        changes["idempotency_key"] = check_key(overrides["idempotency_key"], "idempotency_key")
    if "idempotency_period" in overrides:
        if "idempotency_key" not in overrides:
            raise InvalidJobError("idempotency_period is given without an idempotency_key")
        period = check_period(overrides["idempotency_period"], "idempotency_period")
        changes["idempotency_period"] = period
    return changes
