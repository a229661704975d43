"""One attempt: args from JSON, the handler's call, and its end as an outcome."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from typing import Any

from dibs.client.context import JobContext
from dibs.client.effects import Effects
from dibs.client.handler import Handler
from dibs.client.results import dump_result
from dibs.client.stopping import StopSignal
from dibs.errors import InvalidArgsError, InvalidJobError
from dibs.model.job import DeadReason
from dibs.model.lifecycle import CalledOff, Failed, Outcome, Returned, Snoozed
from dibs.model.retry import error_names
from dibs.model.returns import Cancel, GiveUp, RetryAfter, Snooze
from dibs.model.times import duration
from dibs.model.uses import hold_key
from dibs.store.ops.claimed import Claimed
from dibs.telemetry import log_event

logger = logging.getLogger("dibs.worker")

MESSAGE_LIMIT = 2_000
TRACEBACK_LIMIT = 20_000
"""Characters kept of an error's message and traceback; of a traceback, the last ones."""


def call_args(handler: Handler[..., Any], job: Claimed, stop: StopSignal) -> dict[str, Any]:
    """Return the keyword arguments for the handler; its context tells when `stop` was told.

    Raises:
        InvalidArgsError: the stored args no longer fit its annotations.
    """
    kwargs = handler.schema.load(job.args)
    if handler.schema.context_parameter is not None:
        ticket = job.ticket
        kwargs[handler.schema.context_parameter] = JobContext(
            job_id=job.id,
            kind=job.kind,
            queue=job.queue,
            priority=job.priority,
            attempt=ticket.attempt,
            max_attempts=job.max_attempts,
            worker=job.worker,
            _stop=stop,
            _effects=Effects(ticket, handler.runner_for, handler.rules, stop),
        )
    return kwargs


async def attempt_async(handler: Handler[..., Any], job: Claimed, stop: StopSignal) -> Outcome:
    """Run an async handler; only a cancellation gets out."""
    try:
        return ended(await handler.function(**call_args(handler, job, stop)))
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # SystemExit would end the event loop, and the worker with it
        return failed(error, job.limits)


def attempt_sync(handler: Handler[..., Any], job: Claimed, stop: StopSignal) -> Outcome:
    """Run a sync handler."""
    try:
        return ended(handler.function(**call_args(handler, job, stop)))
    except BaseException as error:
        return failed(error, job.limits)


def ended(value: Any) -> Outcome:
    """Return the outcome that a handler's return value stands for."""
    if value is None:
        return Returned()
    if isinstance(value, Snooze):
        return Snoozed(duration(value.delay, "delay"))
    if isinstance(value, Cancel):
        return CalledOff(None if value.reason is None else storable(value.reason))
    if inspect.isawaitable(value) or inspect.isgenerator(value) or inspect.isasyncgen(value):
        return failed(_never_ran(value))
    try:
        return Returned(dump_result(value))
    except InvalidJobError as error:
        # The work is done: failing the job now would only repeat it.
        log_event(
            logger, logging.WARNING, "result_dropped",
            f"the job is completed without its result: {error}",
            result_type=type(value).__name__,
        )  # fmt: skip
        return Returned()


def _never_ran(value: Any) -> TypeError:
    """Say that calling the handler only made something that nobody will run."""
    if inspect.iscoroutine(value):
        value.close()  # it would warn that it was never awaited
    return TypeError(
        f"the handler returned a {type(value).__name__} instead of doing its work; declare the "
        "async function itself with @app.job, and let wrappers of it be async too"
    )


def failed(error: BaseException, limits: str | None = None) -> Failed:
    """Return the outcome that an exception stands for; `limits` are those of the job."""
    try:
        message = str(error) or type(error).__name__
        trace = "".join(traceback.format_exception(error))
    except Exception as worse:
        message = f"its own message cannot be shown: {type(worse).__name__} in __str__"
        trace = "".join(traceback.format_tb(error.__traceback__))
    return Failed(
        error_type=type(error).__name__,
        message=storable(message)[:MESSAGE_LIMIT],
        traceback=storable(trace)[-TRACEBACK_LIMIT:],
        final=_final(error),
        # Who raises RetryAfter has decided; rules are about what is raised by others.
        errors=() if isinstance(error, RetryAfter) else error_names(error),
        retry_after=_retry_after(error),
        hold=_hold(error, limits),
    )


def _final(error: BaseException) -> DeadReason | None:
    if isinstance(error, GiveUp):
        return DeadReason.GAVE_UP
    return DeadReason.INVALID_ARGS if _is_invalid_args(error) else None


def _retry_after(error: BaseException) -> int | None:
    """Return the delay that an exception names, in microseconds; None where it names none.

    What HTTP clients call so may be anything: a date, a text, a property that raises.
    """
    try:
        return duration(error.retry_after, "retry_after")  # type: ignore[attr-defined]
    except Exception:
        return None


def _hold(error: BaseException, limits: str | None) -> str | None:
    if not isinstance(error, RetryAfter) or error.limit is None:
        return None
    return hold_key(error.limit, error.key, limits)


def _is_invalid_args(error: BaseException) -> bool:
    """Only the job's own args: an InvalidArgsError may also come from an enqueue in a handler."""
    if not isinstance(error, InvalidArgsError):
        return False
    last = None
    for last, _ in traceback.walk_tb(error.__traceback__):
        if last.f_code is call_args.__code__:
            return True
    return False


def storable(text: str) -> str:
    """Return `text` without what a database's text cannot hold: NUL and lone surrogates."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
