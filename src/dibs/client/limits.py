"""`app.limits`: what limits say, in code and while the system runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dibs.client.faces import async_face, sync_face
from dibs.errors import ConfigurationError
from dibs.model.job import check_name
from dibs.model.limits import Limit, Rule
from dibs.model.times import Duration
from dibs.store.ops import limit_rules
from dibs.store.ops.limit_rules import LimitRecord
from dibs.store.runner import Runner
from dibs.store.statement import Operation

if TYPE_CHECKING:
    from dibs.client.client import Client


class Limits:
    """The limits of an app; every method but `declare` has an a… twin for async code."""

    def __init__(self, client: Client) -> None:
        """Look at the limits in the client's database."""
        self._client = client
        self.declared: dict[str, Rule] = {}

    @property
    def _runner(self) -> Runner:
        return self._client.store

    def declare(self, limits: Iterable[Limit]) -> None:
        """Say in code what limits allow, which have names; a worker stores it when it starts.

        The limits of kinds are declared with their handlers. What was configured while the system
        ran wins.

        Args:
            limits: each with its name.

        Raises:
            ConfigurationError: one without a name, or another one of its name says otherwise.

        Example:
            >>> app.limits.declare([Limit(name="stripe", rate=100, burst=20)])
        """
        for limit in as_limits(limits):
            if limit.name is None:
                raise ConfigurationError(
                    f"{limit!r}: expected limits with names, for example "
                    'Limit(name="stripe", rate=100)'
                )
            known = self.declared.setdefault(limit.name, limit.rule)
            if known != limit.rule:
                raise ConfigurationError(
                    f"limit {limit.name!r} is declared twice: {known}, and {limit.rule}; give one "
                    "of them another name"
                )

    def _configure(
        self,
        name: str,
        *,
        concurrency: int | None = None,
        rate: int | None = None,
        per: Duration = 1,
        burst: int | None = None,
    ) -> Operation[LimitRecord]:
        """Set what a limit allows from now on; every worker follows it at its next claim.

        Wins over what code declares, until `reset`. What runs already goes on.

        Args:
            name: of the limit.
            concurrency: how many jobs run at once, for each value of its key.
            rate: how many start per period, for each value of its key.
            per: the period of `rate`, seconds or timedelta. Default 1 second.
            burst: how many may start at once after a pause. Default what the rate gives in a
                second, at least 1.

        Raises:
            InvalidJobError: neither or both of `concurrency` and `rate`, or a value out of its
                range.

        Example:
            >>> app.limits.configure("stripe", rate=50, burst=10)
        """
        limit = Limit(concurrency=concurrency, rate=rate, per=per, burst=burst, name=name)
        return limit_rules.limit_configure(check_name(name, "limit"), limit.rule)

    def _reset(self, name: str) -> Operation[LimitRecord]:
        """Return a limit to what code declares, or to none.

        Raises:
            InvalidJobError: something that can't be a limit's name.
        """
        return limit_rules.limit_reset(check_name(name, "limit"))

    def _get(self, name: str) -> Operation[LimitRecord]:
        """Return a limit; without a rule where nobody said anything.

        Raises:
            InvalidJobError: something that can't be a limit's name.
        """
        return limit_rules.limit_get(check_name(name, "limit"))

    def _list(self) -> Operation[list[LimitRecord]]:
        """Return the limits that have a rule, or had one, by name."""
        return limit_rules.limit_list()

    configure = sync_face(_configure)
    aconfigure = async_face(_configure)
    reset = sync_face(_reset)
    areset = async_face(_reset)
    get = sync_face(_get)
    aget = async_face(_get)
    list = sync_face(_list)
    alist = async_face(_list)


def as_limits(given: Iterable[Limit]) -> tuple[Limit, ...]:
    """Return limits as somebody gave them.

    Raises:
        ConfigurationError: no list, or something else is among them.
    """
    if not isinstance(given, Iterable):
        raise ConfigurationError(
            f"limits={given!r}: expected a list, for example limits=[Limit(concurrency=2)]"
        )
    limits = tuple(given)
    for limit in limits:
        if not isinstance(limit, Limit):
            raise ConfigurationError(
                f"limits: {limit!r}: expected a Limit, for example Limit(concurrency=2)"
            )
    return limits


def limits_of(kind: str, given: Sequence[Limit], annotated: dict[str, list[Limit]]) -> list[Limit]:
    """Return the limits of a kind, with their names: those given, and those at its args.

    Args:
        kind: the kind.
        given: as `@app.job(limits=…)` takes them.
        annotated: limits by the name of the arg in whose annotation they stand.

    Raises:
        ConfigurationError: two are the same, or one at an arg has a key.
    """
    found: list[Limit] = []
    found += [limit.of(kind) for limit in given]
    for name, limits in annotated.items():
        for limit in limits:
            if limit.key is not None:
                raise ConfigurationError(
                    f"limit at {name!r} of {kind!r}: its key is the arg; leave out {limit.key!r}"
                )
            found.append(limit.at(name).of(kind))
    names = [limit.name for limit in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigurationError(f"limits of {kind!r}: {twice!r} is there twice; leave one out")
    return found
