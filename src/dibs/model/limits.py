"""Limits: how many jobs of a kind, or of a key, may run at once or start in a time.

A job names the keys of its limits when it is enqueued. A worker that takes it from its line asks
`turns` whether every key has room: then it starts, and else it waits, blocked, under the key that
has none. What is asked and what is answered is one transaction with the keys locked, so no limit
is ever exceeded.

Rates are counted by the generic cell rate algorithm (ITU-T I.371, virtual scheduling): of each key
one number is kept, the time at which a bucket that lets nothing more through would be full again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dibs.errors import InvalidJobError
from dibs.model.job import check_name
from dibs.model.times import SECOND, Duration, duration, in_seconds
from dibs.model.unique import check_period, check_template, template_names, template_value
from dibs.model.uses import Use, limit_key

MOST = 1_000_000
"""The largest number in a limit."""
RECHECK = 10 * SECOND
"""Microseconds after which a key is looked at again under which jobs wait for a slot."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many jobs may run at once, or may start in a time: one of `concurrency` and `rate`.

    Args:
        concurrency: how many run at once, on all workers.
        rate: how many start per period, on all workers; every attempt counts.
        per: the period of `rate`, seconds or timedelta. Default 1 second.
        burst: how many may start at once after a pause; in any time no more start than these and
            what the rate gives in it. Default what the rate gives in a second, at least 1.
        key: counts separately for each value: a template filled from the args, as
            "{customer_id}". Default one count for all jobs.
        name: counts together with the limits of that name of other kinds. Default a limit of the
            kind's own.

    Raises:
        InvalidJobError: neither or both of `concurrency` and `rate`, or a value out of its range.

    Example:
        >>> @app.job(limits=[Limit(key="{customer_id}", concurrency=2), Limit(rate=100, per=60)])
        ... def sync(customer_id: int) -> None: ...
    """

    concurrency: int | None = None
    rate: int | None = None
    per: Duration = 1
    burst: int | None = None
    key: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if (self.concurrency is None) == (self.rate is None):
            raise InvalidJobError(
                f"concurrency={self.concurrency!r} and rate={self.rate!r}: give one of them; a job "
                "may have several limits"
            )
        if self.rate is None and self.burst is not None:
            raise InvalidJobError(f"burst={self.burst!r}: only a rate has one")
        for what in ("concurrency", "rate", "burst"):
            check_number(getattr(self, what), what)
        check_period(self.per, "per")
        if self.key is not None:
            check_template(self.key)
        if self.name is not None:
            check_name(self.name, "limit")

    def of(self, kind: str) -> Limit:
        """Return this limit with its name, where it is one of `kind` alone."""
        if self.name is not None:
            return self
        what = "concurrency" if self.rate is None else "rate"
        return replace(self, name=" ".join(filter(None, [kind, what, self.key])))

    def at(self, arg: str) -> Limit:
        """Return this limit with an arg for its key."""
        return replace(self, key=f"{{{arg}}}")

    @property
    def names(self) -> set[str]:
        """The names of the args that the key is made of."""
        return set() if self.key is None else set(template_names(self.key))

    @property
    def rule(self) -> Rule:
        """What it says of each key."""
        if self.rate is None:
            return Rule(concurrency=self.concurrency)
        per = duration(self.per, "per")
        burst = self.burst or max(1, self.rate * SECOND // per)
        return Rule(rate=self.rate, per=per, burst=burst)

    def use(self, kind: str, args: Mapping[str, object], cost: int) -> Use:
        """Return what a job with `args` needs of this limit, which has a name.

        Raises:
            InvalidJobError: the template names an arg that the job does not have, or the job costs
                more than ever can be there.
        """
        name, rule = self.name or kind, self.rule
        rule.check_cost(name, cost)
        values = [] if self.key is None else [template_value(self.key, f"limit of {kind!r}", args)]
        return Use(limit_key(name, *values), name, 1 if rule.burst is None else cost)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a limit says of each of its keys: a concurrency, or a rate with its burst."""

    concurrency: int | None = None
    rate: int | None = None
    per: int = SECOND
    """Microseconds."""
    burst: int | None = None

    def __str__(self) -> str:
        """Say it in words.

        Example:
            >>> print(Rule(rate=100, per=60_000_000, burst=10))
            100 per 60 s, burst 10
        """
        if self.rate is None:
            return f"{self.concurrency} at once"
        return f"{self.rate} per {in_seconds(self.per / SECOND)} s, burst {self.burst}"

    def check_cost(self, name: str, cost: int) -> None:
        """Refuse a cost that the limit `name` can never give.

        Raises:
            InvalidJobError: it is more than the burst.
        """
        if self.burst is not None and cost > self.burst:
            raise InvalidJobError(
                f"cost={cost}: the limit {name!r} never lets more than its burst of {self.burst} "
                "through at once; raise the burst, or lower the cost"
            )

    def interval(self, cost: int) -> int:
        """Return the microseconds in which a rate gives so much; rounded up for each."""
        return cost * -(-self.per // (self.rate or 1))


def rule_to_json(rule: Rule) -> str:
    """Return a rule as it is stored; times in microseconds."""
    if rule.rate is None:
        return json.dumps({"concurrency": rule.concurrency})
    return json.dumps({"rate": rule.rate, "per": rule.per, "burst": rule.burst})


def rule_from_json(text: str | None) -> Rule | None:
    """Return a stored rule; None, which limits nothing, without one or where it can't be read."""
    if text is None:
        return None
    try:
        rule = Rule(**json.loads(text))
        for what in ("concurrency", "rate", "per", "burst"):
            check_number(getattr(rule, what), what, most=2**62)
    except (InvalidJobError, ValueError, TypeError, RecursionError):
        return None
    return rule


@dataclass(frozen=True, slots=True)
class Meter:
    """A key as it stands, read under its lock."""

    key: str
    rule: Rule | None
    """What holds; None limits nothing."""
    used: int = 0
    """Slots that are taken."""
    full_at: int = 0
    """When the bucket of its rate is full again, in microseconds since 1970 UTC."""
    held_until: int = 0
    """Until when nothing may start."""

    def takes(self, cost: int, now: int) -> bool:
        """Return whether a job may start now."""
        if now < self.held_until:
            return False
        if self.rule is None:
            return True
        if self.rule.concurrency is not None:
            return self.used < self.rule.concurrency
        return self.opens_at(cost) <= now

    def opens_at(self, cost: int = 1) -> int:
        """Return when a rate has so much to give; a cost above the burst waits for all of it."""
        if self.rule is None or self.rule.rate is None:
            return self.held_until
        burst = self.rule.burst or 1
        room = self.rule.interval(burst) - self.rule.interval(min(cost, burst))
        return max(self.full_at - room, self.held_until)

    def after(self, cost: int, now: int) -> Meter:
        """Return how it stands after a job has started."""
        if self.rule is None:
            return self
        if self.rule.rate is None:
            return replace(self, used=self.used + 1)
        return replace(self, full_at=max(self.full_at, now) + self.rule.interval(cost))

    def room(self, now: int, most: int, first: int = 1) -> int:
        """Return how many jobs may start now, up to `most`.

        Args:
            now: microseconds since 1970 UTC.
            most: no more than so many.
            first: what the first of them costs; the others 1 each.
        """
        if not self.takes(first, now):
            return 0
        if self.rule is None:
            return most
        if self.rule.concurrency is not None:
            return min(self.rule.concurrency - self.used, most)
        burst, one = self.rule.burst or 1, self.rule.interval(1)
        tokens = min((now + self.rule.interval(burst) - self.full_at) // one, burst)
        return min(max(1, tokens - first + 1), most)

    def look_at(self, now: int, cost: int = 1) -> int:
        """Return when to look again, while jobs wait here, the first of which costs so much.

        Whoever gives a slot back looks himself; that may be lost with a worker.
        """
        opens = self.opens_at(cost)
        return opens if opens > now else now + RECHECK


@dataclass(frozen=True, slots=True)
class Turns:
    """Which of some jobs may start."""

    start: list[int]
    """Their ids."""
    blocked: dict[int, Use]
    """By id, what it needs and does not get."""
    passed: set[str]
    """Keys under which jobs did not take the turn that they could have had."""
    meters: dict[str, Meter]
    """Every key as it stands after that."""


def turns(
    jobs: Iterable[tuple[int, Sequence[Use]]], meters: Mapping[str, Meter], now: int
) -> Turns:
    """Say which jobs may start now, in the order given; each needs room under all its keys.

    Args:
        jobs: their ids, and what they need.
        meters: every key that they name.
        now: microseconds since 1970 UTC.
    """
    found = Turns([], {}, set(), dict(meters))
    shut: set[str] = set()
    for job_id, uses in jobs:
        lacking = [
            use for use in uses
            if use.key in shut or not found.meters[use.key].takes(use.cost, now)
        ]  # fmt: skip
        if lacking:
            found.blocked[job_id] = lacking[0]
            # Who needs less does not pass it for ever.
            shut.add(lacking[0].key)
            found.passed.update({use.key for use in uses} - {lacking[0].key})
            continue
        found.start.append(job_id)
        for use in uses:
            found.meters[use.key] = found.meters[use.key].after(use.cost, now)
    return found


def check_number(value: int | None, what: str, *, most: int = MOST, some: bool = False) -> None:
    """Refuse what is no positive integer, or too large; and None, where there must be `some`.

    Raises:
        InvalidJobError: it is none.
    """
    if value is None and not some:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidJobError(f"{what}={value!r}: expected an integer from 1 to {most}")
