"""Fairness: the tenants of a queue take turns, whatever one of them piles up.

Stride scheduling (Waldspurger and Weihl, 1995): every tenant has a pass, a count of the turns it
had, in units that shrink with its weight; the one with the smallest pass is next. Who comes back
after a pause starts where the others are: it neither saved turns nor owes any.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dibs.errors import ConfigurationError
from dibs.model.job import PRIORITY_MAX, check_priority
from dibs.model.shares import check_weight

STRIDE = 1_000_000
"""What a turn costs a tenant of weight 1."""
_ARG = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Fair:
    """Each value of an arg has its share of a queue, while several have work.

    Priorities order the jobs of one value among each other.

    Args:
        by: the arg that names the tenant. Jobs without it count as one tenant together.
        weights: shares by the arg's value as text, 1 to 1,000,000. Default 1 for each.
        exempt: jobs of this priority and above take no part: they are ready at once. Default none.

    Raises:
        ConfigurationError: no name of an arg, or a weight out of its range.
        InvalidJobError: `exempt` is no priority.

    Example:
        >>> app.queues.configure("mail", fair_by=Fair("tenant_id", {"acme": 3}, exempt=20))
    """

    by: str
    weights: Mapping[str, int] = field(default_factory=dict)
    exempt: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not isinstance(self.by, str) or not _ARG.fullmatch(self.by):
            raise ConfigurationError(
                f"fair_by={self.by!r}: expected the name of an arg, for example 'tenant_id'"
            )
        if not isinstance(self.weights, Mapping):
            raise ConfigurationError(
                f"weights={self.weights!r} of fair_by={self.by!r}: expected weights by tenant, for "
                "example {'acme': 3}"
            )
        weights = {
            str(tenant): check_weight(f"weights[{tenant!r}]", weight)
            for tenant, weight in self.weights.items()
        }
        object.__setattr__(self, "weights", weights)
        if self.exempt is not None:
            check_priority(self.exempt)

    def __str__(self) -> str:
        """Say it in words.

        Example:
            >>> print(Fair("tenant_id", {"acme": 3}, exempt=20))
            fair by tenant_id (acme=3), but for 20 and above
        """
        shares = ", ".join(f"{tenant}={weight}" for tenant, weight in self.weights.items())
        words = f"fair by {self.by}" + (f" ({shares})" if shares else "")
        return words + ("" if self.exempt is None else f", but for {self.exempt} and above")

    def __hash__(self) -> int:
        """Return the same for equal ones."""
        return hash((self.by, tuple(sorted(self.weights.items())), self.exempt))

    @property
    def below(self) -> int:
        """The lowest priority that takes no part."""
        return PRIORITY_MAX + 1 if self.exempt is None else self.exempt


def fair_from_json(by: str, below: int, weights: dict[str, int]) -> Fair:
    """Return what a policy's row says."""
    return Fair(by, weights, None if below > PRIORITY_MAX else below)


class Tenant(NamedTuple):
    """A tenant of a queue that has jobs waiting for its turn."""

    key: str
    passed: int
    """Its pass."""
    waiting: int
    """How many jobs wait; no more are counted than there are turns to give."""
    weight: int


def share_out(tenants: Iterable[Tenant], turns: int) -> tuple[Counter[str], dict[str, int], int]:
    """Give up to so many turns to tenants; return how many each gets, their passes, and the time.

    The time is the pass at which the last turn was given: where a newcomer starts.

    Example:
        >>> tenants = [Tenant("a", 0, 9, 2), Tenant("b", 0, 9, 1)]
        >>> sorted(share_out(tenants, 6)[0].items())
        [('a', 4), ('b', 2)]
    """
    left = {tenant.key: tenant for tenant in tenants}
    queue = [(tenant.passed, tenant.key) for tenant in left.values() if tenant.waiting]
    heapq.heapify(queue)
    given: Counter[str] = Counter()
    passes = {tenant.key: tenant.passed for tenant in left.values()}
    time = min(passes.values(), default=0)
    while queue and given.total() < turns:
        time, key = heapq.heappop(queue)
        given[key] += 1
        passes[key] = time + max(1, STRIDE // left[key].weight)
        if given[key] < left[key].waiting:
            heapq.heappush(queue, (passes[key], key))
    return given, passes, time
