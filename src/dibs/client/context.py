"""What a handler may know about the job it runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dibs.client.effects import Effects, Once
from dibs.client.rooms import Room
from dibs.client.stopping import StopSignal
from dibs.errors import ConfigurationError, StopRequestedError


def _logger() -> logging.Logger:
    return logging.getLogger("dibs.job")


@dataclass(frozen=True, slots=True)
class JobContext:
    """Given to handlers that ask for it: any parameter annotated `JobContext` receives it.

    Example:
        >>> @app.job
        ... def charge(ctx: JobContext, order_id: int) -> None:
        ...     ctx.log.info("attempt %d of %d", ctx.attempt, ctx.max_attempts)
    """

    job_id: int
    kind: str
    queue: str
    priority: int
    attempt: int
    """Which counted attempt this is, from 1."""
    max_attempts: int
    worker: str
    """The id of the worker that runs it."""
    _stop: StopSignal = field(default_factory=StopSignal, repr=False, compare=False)
    _effects: Effects | None = field(default=None, repr=False, compare=False)
    _log: logging.Logger = field(default_factory=_logger, repr=False, compare=False)

    @property
    def cancelled(self) -> bool:
        """Whether this attempt shall stop: cancelled, out of time, or its worker stops.

        For handlers in threads, which nobody can stop from outside; in a child process it is
        never set, for the child is killed.
        """
        return self._stop.reason is not None

    @property
    def cancel_reason(self) -> str | None:
        """Why this attempt shall stop, in words; None as long as it may go on."""
        return self._stop.reason

    def raise_if_cancelled(self) -> None:
        """Leave the handler if this attempt shall stop; call it between two pieces of work.

        Raises:
            StopRequestedError: it shall stop; let it out of the handler.

        Example:
            >>> for page in pages:
            ...     ctx.raise_if_cancelled()
            ...     render(page)
        """
        if self._stop.reason is not None:
            raise StopRequestedError(self._stop.reason)

    def once(self, name: str, connection: object) -> Once:
        """Guard a block whose effects are in the app's database: done at most once for the job.

        It yields whether to run it, and marks it as done in the open transaction of `connection`:
        mark and effects are committed together, or neither is. An error out of the block takes
        the mark back. With a connection that has to be awaited: `async with`.

        Args:
            name: tells the blocks of a handler apart.
            connection: the one on which the block writes, with a transaction open.

        Raises:
            ClaimLostError: the job is another attempt's by now; nothing was marked.
            ConfigurationError: no transaction is open, the connection is of another database, or
                this context was not made by a worker.

        Example:
            >>> with ctx.once("charge", connection) as charge:
            ...     if charge.first:
            ...         charge.result = book(connection, order_id)
            >>> receipt = charge.result
        """
        return self._attempt().once(name, connection)

    def complete_in(self, connection: object, result: Any = None) -> None:
        """Complete the job in your own transaction: what you wrote and its end are one commit.

        Let it be the last statement before your commit. If the transaction rolls back, the job
        has not ended, and the return or the error of the handler decides as always.

        Args:
            connection: with a transaction open in the app's database.
            result: stored with the job, as JSON values, instead of what the handler returns.

        Raises:
            ClaimLostError: the job is another attempt's by now; roll back, and let it out.
            ConfigurationError: as for `once`.
            InvalidJobError: the result can't be stored as JSON.

        Example:
            >>> with sqlite3.connect("shop.db") as connection:
            ...     connection.execute("INSERT INTO invoices VALUES (?)", (order_id,))
            ...     ctx.complete_in(connection)
        """
        runner, completion = self._attempt().complete(connection, result)
        runner.run(completion)

    async def acomplete_in(self, connection: object, result: Any = None) -> None:
        """Like `complete_in`, on any connection."""
        runner, completion = self._attempt().complete(connection, result)
        await runner.arun(completion)

    def limit(self, name: str, *, key: Any = None, cost: int = 1) -> Room:
        """Run a block under a limit: it waits for room, and gives a slot back when it ends.

        Of a concurrency the block takes one slot; of a rate, as much as it costs, and gives nothing
        back. Nobody else can have that room meanwhile, be it a job or a block. In async handlers:
        `async with`. Blocks under several limits, one within the other, are best entered in the
        same order everywhere, or two of them may wait for each other.

        Args:
            name: of a limit that `app.limits.declare`, a kind or `app.limits.configure` named.
            key: counts separately for each value, as the key of a job's limit does. Default the
                count without a key.
            cost: how much of a rate it takes. Default 1.

        Raises:
            InvalidJobError: the cost is no positive integer, or more than the rate's burst; a key
                that has no JSON.
            ConfigurationError: this context was not made by a worker. From the block: nobody
                declared the limit.
            StopRequestedError: from the block in a thread: the attempt shall stop; let it out.

        Example:
            >>> async with ctx.limit("stripe", key=account):
            ...     await charge(account, amount)
        """
        return self._attempt().limit(name, key, cost)

    def _attempt(self) -> Effects:
        if self._effects is None:
            raise ConfigurationError(
                "this JobContext was made by hand: it owns no job; let a worker run the handler"
            )
        return self._effects

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry the job's id, kind and attempt."""
        extra: Mapping[str, Any] = {
            "job_id": self.job_id, "kind": self.kind, "attempt": self.attempt
        }  # fmt: skip
        return logging.LoggerAdapter(self._log, extra)
