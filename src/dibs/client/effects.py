"""What a handler does in the transaction of its own effects: once for all attempts, or as its end.

`JobContext.once`, `JobContext.complete_in` and `JobContext.limit` are the doors to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from dibs.client.results import dump_result
from dibs.client.rooms import Room
from dibs.client.stopping import StopSignal
from dibs.errors import ConfigurationError, InvalidJobError
from dibs.model.job import check_name
from dibs.model.lifecycle import Claim
from dibs.model.limits import Rule, check_number
from dibs.model.uses import use_of
from dibs.store.borrowed import in_transaction, require_transaction
from dibs.store.ops.effects import effect_keep, effect_take, effect_undo, job_complete
from dibs.store.runner import Runner
from dibs.store.statement import Operation


@dataclass(slots=True)
class Effect:
    """Whether a block is to run; true where it was not done before."""

    first: bool
    result: Any = None
    """Set it in the block, as JSON values: where the block was done before, it is here."""

    def __bool__(self) -> bool:
        """Return whether the block is to run."""
        return self.first


class Once:
    """A block of a handler that is done at most once for a job: `with` or `async with`."""

    def __init__(self, runner: Runner, claim: Claim, name: str, connection: object) -> None:
        """Mark the block `name` in the open transaction of `connection`, by `runner`."""
        self._runner = runner
        self._claim = claim
        self._name = check_name(name, "name")
        self._connection = connection
        self._effect = Effect(first=False)
        self._refused: InvalidJobError | None = None

    def _take(self) -> Operation[tuple[bool, Any]]:
        require_transaction(self._connection)
        return effect_take(self._claim, self._name)

    def _end(self, failed: bool) -> Operation[None] | None:
        if not self._effect.first:
            return None
        # Where the block ended the transaction, another one would begin here, and nobody would
        # end it. After a rollback the mark is gone anyway.
        ended = not in_transaction(self._connection)
        if failed and ended:
            return None
        if failed:
            return effect_undo(self._claim.job_id, self._name)
        if self._effect.result is None:
            return None
        if ended:
            raise ConfigurationError(
                f"the transaction ended within the block of once({self._name!r}), so its result "
                "cannot be kept with its effects; commit after the block"
            )
        try:
            result = dump_result(self._effect.result)
        except InvalidJobError as error:
            self._refused = error
            return effect_undo(self._claim.job_id, self._name)
        return effect_keep(self._claim.job_id, self._name, result)

    def _refuse(self) -> None:
        """Tell of a result that cannot be kept, now that the mark is taken back."""
        if self._refused is not None:
            raise self._refused

    def __enter__(self) -> Effect:
        """Take the mark, and say whether the block is to run.

        Raises:
            ClaimLostError: the job is another attempt's by now; nothing was marked.
            ConfigurationError: the connection has no transaction open, or is async.
        """
        self._effect = Effect(*self._runner.run(self._take()))
        return self._effect

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep the result; after an error, take the mark back.

        Raises:
            InvalidJobError: the result can't be stored as JSON; the mark is taken back.
            ConfigurationError: there is a result, and the transaction ended within the block.
        """
        try:
            if end := self._end(error is not None):
                self._runner.run(end)
            self._refuse()
        except Exception:
            if error is None:
                raise
            # The transaction is broken, or the connection closed: the mark goes with it.

    async def __aenter__(self) -> Effect:
        """Like `with`, on any connection."""
        self._effect = Effect(*await self._runner.arun(self._take()))
        return self._effect

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Like `with`, on any connection."""
        try:
            if end := self._end(error is not None):
                await self._runner.arun(end)
            self._refuse()
        except Exception:
            if error is None:
                raise


@dataclass(frozen=True, slots=True)
class Effects:
    """The claim of an attempt, and the way to the database of its app."""

    claim: Claim
    runner_for: Callable[[object], Runner]
    rules: Mapping[str, Rule]
    """What the app declares of its limits, by name."""
    stop: StopSignal

    def once(self, name: str, connection: object) -> Once:
        """Return the guard of a block."""
        return Once(self.runner_for(connection), self.claim, name, connection)

    def limit(self, name: str, key: Any, cost: int) -> Room:
        """Return what holds room under a limit for a block."""
        check_number(cost, "cost", some=True)
        if rule := self.rules.get(check_name(name, "limit")):
            rule.check_cost(name, cost)
        return Room(self.runner_for(None), self.claim, use_of(name, key, cost), self.stop)

    def complete(self, connection: object, result: Any) -> tuple[Runner, Operation[None]]:
        """Return what completes the job, and where."""
        runner = self.runner_for(connection)
        require_transaction(connection)
        return runner, job_complete(self.claim, None if result is None else dump_result(result))
