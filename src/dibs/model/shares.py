"""Shares: who comes next where several are served in proportion to their weights.

Smooth weighted round robin, as nginx chooses between upstream servers: at every turn each one
that has work gains its weight, the one with the most is served and pays what all have gained
together. Over any longer window in which all have work everyone is served in proportion, evenly
spread; who has no work gains nothing, and its turns fall to the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from dibs.errors import ConfigurationError

K = TypeVar("K")

WEIGHT_MAX = 1_000_000


def next_share(credit: dict[K, int], weights: Mapping[K, int], working: Iterable[K]) -> K:
    """Return who of `working` is served next, and settle it in `credit`.

    Args:
        credit: what each has gained and not yet been served for; begins empty.
        weights: of each.
        working: those that have work, at least one; the first of equals is served.

    Example:
        >>> credit = {}
        >>> "".join(next_share(credit, {"a": 2, "b": 1}, "ab") for _ in range(6))
        'abaaba'
    """
    gained = 0
    best: K | None = None
    for one in working:
        weight = weights[one]
        gained += weight
        credit[one] = credit.get(one, 0) + weight
        if best is None or credit[one] > credit[best]:
            best = one
    if best is None:
        raise ValueError("nobody has work")
    credit[best] -= gained
    return best


def check_weight(name: str, weight: object) -> int:
    """Return a weight that was given as `name`.

    Raises:
        ConfigurationError: not an integer from 1 to a million.
    """
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= WEIGHT_MAX:
        raise ConfigurationError(
            f"{name}={weight!r}: expected a weight, an integer from 1 to {WEIGHT_MAX}"
        )
    return weight
