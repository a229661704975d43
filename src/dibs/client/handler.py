"""Handlers: functions that run jobs, and the ways to enqueue a job for one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, Unpack

from dibs.client.args import ArgsSchema
from dibs.client.enqueueing import enqueue_one
from dibs.client.limits import limits_of
from dibs.client.options import Options, Overrides
from dibs.errors import ConfigurationError, InvalidJobError
from dibs.model.job import Job, NewJob
from dibs.model.limits import Rule
from dibs.model.retry import Retry
from dibs.model.unique import check_names
from dibs.store.runner import Runner
from dibs.store.statement import Operation

if TYPE_CHECKING:
    from dibs.client.client import Client

P = ParamSpec("P")
R = TypeVar("R")

Executor = Literal["async", "thread", "process"]
"""Where a handler runs: on the worker's event loop, in a thread, or in a process of its own."""


class Enqueuer(Generic[P]):
    """Enqueues jobs of one kind with fixed options."""

    def __init__(self, client: Client, kind: str, schema: ArgsSchema, options: Options) -> None:
        """Enqueue jobs of `kind` through `client`."""
        self._client = client
        self.kind = kind
        self.schema = schema
        self.options = options

    @property
    def _runner(self) -> Runner:
        return self._client.store

    def _check_limits(self) -> None:
        for limit in self.options.limits:
            for name in sorted(limit.names):
                if not self.schema.has(name):
                    raise InvalidJobError(
                        f"limit of {self.kind!r}: its key {limit.key!r} names {name!r}, which is "
                        "no arg of its handler"
                    )

    def _check_unique(self) -> None:
        if self.options.unique is not None:
            check_names(self.options.unique, self.kind, self.schema.has)

    def key_of(self, queue: str, args: str) -> str | None:
        """Return the unique key that a job with these args has until it starts or ends, if any."""
        unique = self.options.unique
        if unique is None or not isinstance(unique.during, str):
            return None
        try:
            return unique.job_key(self.kind, queue, args).text
        except InvalidJobError:  # its template names what these args do not have
            return None

    def request(self, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Return a checked job for `app.enqueue_many`; nothing is stored yet.

        Raises:
            InvalidArgsError: the args don't fit the handler's annotations, or are too large.
        """
        return self._client.new_job(self, self.schema.dump_call(args, kwargs))

    def _enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Operation[Job]:
        return enqueue_one(self.request(*args, **kwargs))

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Store a job that calls the handler with these args.

        Raises:
            InvalidArgsError: the args don't fit the handler's annotations, or are too large;
                nothing was stored.
            DuplicateJobError: another job holds its key, and is to be replaced and can't be, or
                is not to be returned.
            StoreError: the database refused or could not be reached.

        Example:
            >>> job = send_confirmation.enqueue(order_id=1, email="a@example.com")
            >>> job.state
            <State.READY: 'ready'>
        """
        return self._runner.run(self._enqueue(*args, **kwargs))

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Like `enqueue`, without blocking the event loop."""
        return await self._runner.arun(self._enqueue(*args, **kwargs))


class Using(Enqueuer[P]):
    """An enqueuer with options of its own, perhaps inside a caller's transaction."""

    def __init__(self, origin: Enqueuer[P], options: Options, connection: object | None) -> None:
        """Enqueue like `origin`, with `options`, on `connection` where one is given."""
        super().__init__(origin._client, origin.kind, origin.schema, options)
        self._connection = connection
        self._check_unique()

    @property
    def _runner(self) -> Runner:
        return self._client.runner_for(self._connection)


class Handler(Enqueuer[P], Generic[P, R]):
    """A function declared with `@app.job`: still callable, and enqueueable."""

    def __init__(
        self,
        client: Client,
        function: Callable[P, R],
        kind: str,
        options: Options,
        retry: Retry,
        executor: Executor | None,
    ) -> None:
        """Declare `function` as the handler of `kind`.

        Raises:
            ConfigurationError: its signature can't be stored, or doesn't fit the executor.
        """
        # Stored with a job is only what its enqueue says: changed code is for waiting jobs too.
        schema = ArgsSchema(function, kind)
        limits = tuple(limits_of(kind, options.limits, schema.limits))
        defaults = replace(options, timeout=None, retry=None, limits=limits)
        super().__init__(client, kind, schema, defaults)
        self._check_unique()
        self._check_limits()
        client.limits.declare(limits)
        self.timeout = options.timeout
        """Microseconds that an attempt may take, 0 for no limit; None for what the queue says."""
        self.function = function
        self.retry = retry
        self.executor = _executor(function, kind, executor)
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function, here and now."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        """Show the kind."""
        return f"<Handler {self.kind!r}>"

    @property
    def rules(self) -> Mapping[str, Rule]:
        """What the app declares of its limits, by name."""
        return self._client.limits.declared

    @property
    def origin(self) -> str:
        """Where it was written; a module that is loaded again says the same."""
        code = getattr(self.function, "__code__", None)
        place = f"{code.co_filename}:{code.co_firstlineno}" if code else repr(self.function)
        return f"{self.function.__module__}.{self.function.__qualname__} ({place})"

    def runner_for(self, connection: object) -> Runner:
        """Return where operations in the transaction of a caller's `connection` run."""
        return self._client.runner_for(connection)

    def using(
        self, *, connection: object | None = None, **overrides: Unpack[Overrides]
    ) -> Using[P]:
        """Return an enqueuer with other options.

        Args:
            connection: enqueue inside the open transaction of this connection (sqlite3,
                aiosqlite, psycopg, SQLAlchemy): the job exists if and only if it commits.
            overrides: `queue`, `priority`, `max_attempts`, `delay` or `scheduled_at`, `timeout`,
                `retry`, `unique`, `debounce` or `throttle`, `idempotency_key` with
                `idempotency_period`, `cost`.

        Raises:
            InvalidJobError: a value is out of its range, the datetime is naive, or two options
                contradict each other.
            ConfigurationError: the connection is of another engine or an unknown driver.

        Example:
            >>> send_confirmation.using(priority=Priority.CRITICAL, delay=60).enqueue(1, "a@b.c")
        """
        self._client.runner_for(connection)
        return Using(self, self.options.with_(overrides), connection)


def _executor(function: Callable[..., Any], kind: str, executor: Executor | None) -> Executor:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(
            f"the handler of {kind!r} is a generator: calling it would not run it; "
            "let it do its work and return"
        )
    asynchronous = inspect.iscoroutinefunction(function)
    chosen = executor or ("async" if asynchronous else "thread")
    if chosen not in {"async", "thread", "process"}:
        raise ConfigurationError(
            f"executor={executor!r} for {kind!r}: expected 'async', 'thread' or 'process'"
        )
    if asynchronous != (chosen == "async"):
        wanted = "an async def" if chosen == "async" else "a plain def"
        raise ConfigurationError(f"executor={chosen!r} for {kind!r} needs {wanted} function")
    if chosen == "process" and "<" in getattr(function, "__qualname__", "<"):
        raise ConfigurationError(
            f"executor='process' for {kind!r}: a child process could not import "
            f"{getattr(function, '__qualname__', function)!r}; define it at module level"
        )
    return chosen
