"""The policy of a queue: its order, how long its jobs may take, and how long they are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property, lru_cache
from typing import Any, NoReturn

from dibs.errors import ConfigurationError, DibsError
from dibs.model.aging import Aging
from dibs.model.fair import Fair, fair_from_json
from dibs.model.job import check_priority
from dibs.model.limits import check_number
from dibs.model.retention import DEFAULT, Retention, retention_to_value
from dibs.model.shares import check_weight
from dibs.model.timeouts import SHORTEST_TIMEOUT
from dibs.model.times import SECOND, Duration, duration, in_seconds


class Weights(dict[int, int]):
    """Weights by level, the highest first; they can be copied, sent and shown, but not changed."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a policy cannot be changed; make another, and configure the queue with it")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        """Return the same for equal weights."""
        return hash(tuple(self.items()))

    def __reduce__(self) -> tuple[type[Weights], tuple[dict[int, int]]]:
        """Make copies in one piece, not item by item."""
        return Weights, (dict(self),)


@dataclass(frozen=True)
class QueuePolicy:
    """How the lines of a queue take turns; without aging and weights strictly by priority.

    And how long the queue keeps what ended.
    """

    aging: Aging | None = None
    """How waiting jobs gain priority. Default not at all."""
    weights: Mapping[int, int] = field(default_factory=dict)
    """The share of each level: a priority and all above it, up to the next one. Default none."""

    timeout: Duration | None = None
    """Seconds or timedelta that an attempt may take, where neither job nor kind says. Default no
    limit."""
    retention: Retention | None = None
    """How long its ended jobs are kept, and how many. Default as `Retention()` says."""

    concurrency: int | None = None
    """How many of its jobs run at once, on all workers. Default any number."""

    fair: Fair | None = None
    """How the tenants of the queue take turns. Default not: all are one line."""

    unreadable: str | None = None
    """What the queue's row holds, where that is no policy; the order is strict then."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigurationError: something else than an Aging or a Retention, or a weight or the
                timeout out of its range.
            InvalidJobError: a level that is no priority, or a concurrency that is none.
        """
        if self.aging is not None and not isinstance(self.aging, Aging):
            raise ConfigurationError(
                f"aging={self.aging!r}: expected an Aging, for example Aging(after=600, every=60)"
            )
        if not isinstance(self.weights, Mapping):
            raise ConfigurationError(
                f"weights={self.weights!r}: expected weights by priority, for example "
                "{20: 8, 10: 4, 0: 1}"
            )
        if self.retention is not None and not isinstance(self.retention, Retention):
            raise ConfigurationError(
                f"retention={self.retention!r}: expected a Retention, for example "
                "Retention(dead=timedelta(days=30))"
            )
        checked = {
            check_priority(level): check_weight(f"weights[{level:d}]", weight)
            for level, weight in self.weights.items()
        }
        ordered = Weights(sorted(checked.items(), reverse=True))
        object.__setattr__(self, "weights", ordered)
        check_number(self.concurrency, "concurrency")
        if self.fair is not None and not isinstance(self.fair, Fair):
            raise ConfigurationError(
                f"fair_by={self.fair!r}: expected the name of an arg, or a Fair, for example "
                "Fair('tenant_id', {'acme': 3})"
            )
        if self.timeout is not None:
            micros = duration(self.timeout, "timeout", minimum=SHORTEST_TIMEOUT)
            object.__setattr__(self, "timeout", timedelta(microseconds=micros))

    def __str__(self) -> str:
        """Say it in words.

        Example:
            >>> print(QueuePolicy(weights={20: 8, 0: 1}))
            weights 20=8, 0=1
        """
        words = [] if self.aging is None else [str(self.aging)]
        if self.weights:
            shares = ", ".join(f"{level}={weight}" for level, weight in self.weights.items())
            words.append(f"weights {shares}")
        if self.unreadable is not None:
            words.append(f"strict, for its policy cannot be read: {self.unreadable!r}")
        words = words or ["strict"]
        if self.limit is not None:
            words.append(f"timeout {in_seconds(self.limit / SECOND)} s")
        if self.fair is not None:
            words.append(str(self.fair))
        if self.concurrency is not None:
            words.append(f"{self.concurrency} at once")
        if self.retention is not None:
            words.append(str(self.retention))
        return "; ".join(words)

    @cached_property
    def limit(self) -> int | None:
        """`timeout` in microseconds; a claim asks for it once for every job that it takes."""
        return None if self.timeout is None else duration(self.timeout, "timeout")

    @property
    def kept(self) -> Retention:
        """What holds for its ended jobs."""
        return self.retention or DEFAULT

    @property
    def strict(self) -> bool:
        """Whether nothing but the priority counts."""
        return self.aging is None and not self.weights

    def at(self, priority: int, waited: int) -> int:
        """Return the priority that counts after `waited` microseconds."""
        return priority if self.aging is None else self.aging.at(priority, waited)

    def level(self, priority: int) -> int:
        """Return the level whose weight counts for `priority`."""
        for level in self.weights:
            if level <= priority:
                return level
        return min(self.weights)


STRICT = QueuePolicy()
"""Higher priority first, whatever waits."""


def policy_to_json(policy: QueuePolicy) -> str:
    """Return a policy as it is stored; times in seconds."""
    value: dict[str, Any] = {}
    if policy.aging is not None:
        after, every = policy.aging._micros
        value["aging"] = {
            "after": after / SECOND,
            "every": every / SECOND,
            "step": policy.aging.step,
            "ceiling": policy.aging.ceiling,
        }
    if policy.weights:
        value["weights"] = {str(level): weight for level, weight in policy.weights.items()}
    if policy.limit is not None:
        value["timeout"] = policy.limit / SECOND
    if policy.concurrency is not None:
        value["concurrency"] = policy.concurrency
    if policy.fair is not None:
        # In this order: an engine without a way to tell JSON from other text reads it by pattern.
        value["fair"] = {
            "by": policy.fair.by, "below": policy.fair.below, "weights": dict(policy.fair.weights)
        }  # fmt: skip
    if kept := retention_to_value(policy.kept):
        value["retention"] = kept
    return json.dumps(value)


@lru_cache(maxsize=256)
def policy_from_json(text: str | None) -> QueuePolicy:
    """Return the policy that a queue's row holds; strict without one.

    What cannot be read, for somebody else wrote it or a later version did, is strict too: a bad
    row must not stop a queue, least of all the others.
    """
    if text is None:
        return STRICT
    try:
        value = json.loads(text)
        aging = value.pop("aging", None)
        weights = {int(level): weight for level, weight in value.pop("weights", {}).items()}
        timeout = value.pop("timeout", None)
        retention = value.pop("retention", None)
        concurrency = value.pop("concurrency", None)
        fair = value.pop("fair", None)
        policy = QueuePolicy(
            None if aging is None else Aging(**aging),
            weights,
            timeout,
            None if retention is None else Retention(**retention),
            concurrency,
            None if fair is None else fair_from_json(**fair),
        )
    except (DibsError, ValueError, TypeError, AttributeError, RecursionError):
        return QueuePolicy(unreadable=text)
    return QueuePolicy(unreadable=text) if value else policy
