"""The application object without its workers: declares handlers, enqueues and looks at jobs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ParamSpec, TypeVar, Unpack, cast, overload

from dibs.client.dead import Dead
from dibs.client.enqueueing import checked, enqueue_many, enqueue_one
from dibs.client.faces import async_face, sync_face
from dibs.client.handler import Enqueuer, Executor, Handler
from dibs.client.jobs import Jobs
from dibs.client.kinds import Kinds
from dibs.client.limits import Limits, as_limits
from dibs.client.options import Options, Overrides
from dibs.client.queues import Queues
from dibs.client.schedules import Schedules
from dibs.client.scheduling import Scheduling
from dibs.client.settings import Settings
from dibs.errors import ConfigurationError, InvalidArgsError, UnknownKindError
from dibs.insights import Stats, stats_read
from dibs.model.job import Job, NewJob, Priority, check_name
from dibs.model.limits import Limit
from dibs.model.retry import Retry
from dibs.model.times import Duration, to_micros
from dibs.model.unique import Unique
from dibs.store import Clock, Role, Store, open_store
from dibs.store.runner import Runner
from dibs.store.statement import Operation

P = ParamSpec("P")
R = TypeVar("R")


class Client(Scheduling):
    """Handlers, jobs and figures of one database; `dibs.Dibs` adds the workers."""

    def __init__(self, url: str | None, settings: Settings, clock: Callable[[], datetime] | None):
        """Prepare to use a database; nothing is opened before the first operation."""
        self.settings = settings
        self.clock = _micros(clock)
        self.store: Store = open_store(url, Role.PRODUCER, clock=self.clock)
        self.url = url
        self.handlers: dict[str, Handler[..., Any]] = {}
        self.jobs = Jobs(self)
        self.dead = Dead(self)
        self.queues = Queues(self)
        self.kinds = Kinds(self)
        self.schedules = Schedules(self)
        self.limits = Limits(self)

    @property
    def _runner(self) -> Runner:
        return self.store

    def runner_for(self, connection: object | None) -> Runner:
        """Return where operations run: the store, or a caller's own connection."""
        return self.store if connection is None else self.store.borrow(connection)

    # --- Declaring handlers ----------------------------------------------------------------

    @overload
    def job(self, function: Callable[P, R]) -> Handler[P, R]: ...

    @overload
    def job(
        self,
        *,
        kind: str | None = None,
        queue: str = "default",
        priority: int = Priority.LOW,
        max_attempts: int | None = None,
        timeout: Duration | None = None,
        retry: Retry | None = None,
        unique: Unique | None = None,
        debounce: Duration | None = None,
        throttle: Duration | None = None,
        limits: Sequence[Limit] = (),
        cost: int = 1,
        executor: Executor | None = None,
    ) -> Callable[[Callable[P, R]], Handler[P, R]]: ...

    def job(
        self,
        function: Callable[..., Any] | None = None,
        *,
        kind: str | None = None,
        queue: str = "default",
        priority: int = Priority.LOW,
        max_attempts: int | None = None,
        timeout: Duration | None = None,
        retry: Retry | None = None,
        unique: Unique | None = None,
        debounce: Duration | None = None,
        throttle: Duration | None = None,
        limits: Sequence[Limit] = (),
        cost: int = 1,
        executor: Executor | None = None,
    ) -> Any:
        """Declare a function as the handler of a kind of job.

        Args:
            function: the function, where the decorator is used without parentheses.
            kind: the registered name. Default the function's own name.
            queue: where its jobs go. Default "default".
            priority: from -32768 to 32767, higher runs first. Default LOW, 0.
            max_attempts: how often a job may be tried, 1 to 1,000,000. Default what `retry` says,
                and 5 without that.
            timeout: seconds or timedelta that an attempt may take. Default what the queue says,
                and none without that.
            retry: after which errors it is tried again, and with which delays. Default after all,
                with `Backoff.exponential()`: 15 seconds, doubled each time, at most an hour, with
                jitter.
            unique: which other jobs there may not be beside one of this kind. Default any.
            debounce: seconds or timedelta from the last call to the start: until then, a call
                replaces the job that waits, of the same args or the key that `unique` names.
                Default off.
            throttle: seconds or timedelta in which there is at most one job of the same args, or
                the key that `unique` names; further calls store nothing. Default off.
            limits: how many of its jobs run at once, or start in a time; a `Limit` may also stand
                in the annotation of an arg, `Annotated[int, Limit(concurrency=2)]`, and counts
                for each of its values then. Default none.
            cost: how much of each rate a job takes. Default 1.
            executor: "async", "thread" or "process". Default by the function: async functions
                run on the event loop, others in threads.

        Raises:
            ConfigurationError: the kind is taken, the signature can't be stored as JSON, or the
                function doesn't fit the executor.
            InvalidJobError: an option is out of its range, or two contradict each other.

        Example:
            >>> @app.job(queue="mail", priority=Priority.HIGH)
            ... def send_confirmation(order_id: int, email: str) -> None: ...
        """
        perhaps = {
            "max_attempts": max_attempts, "timeout": timeout, "retry": retry, "unique": unique,
            "debounce": debounce, "throttle": throttle,
        }  # fmt: skip
        given = {option: value for option, value in perhaps.items() if value is not None}
        said = cast("Overrides", {"queue": queue, "priority": priority, "cost": cost, **given})
        options = replace(Options().with_(said), limits=as_limits(limits))

        def declare(function: Callable[..., Any]) -> Handler[..., Any]:
            if not inspect.isroutine(function):
                raise ConfigurationError(f"@app.job needs a function, not {function!r}")
            name = check_name(function.__name__ if kind is None else kind, "kind")
            handler = Handler(self, function, name, options, retry or Retry(), executor)
            self._register(handler)
            return handler

        return declare if function is None else declare(function)

    def _register(self, handler: Handler[..., Any]) -> None:
        taken = self.handlers.get(handler.kind)
        if taken is not None and taken.origin != handler.origin:
            raise ConfigurationError(
                f"kind {handler.kind!r} is registered twice: {taken.origin} and "
                f"{handler.origin}; give one of them another kind"
            )
        self.handlers[handler.kind] = handler

    # --- Enqueueing ------------------------------------------------------------------------

    def new_job(self, enqueuer: Enqueuer[Any], args: str) -> NewJob:
        """Return a job for checked `args`, unless they are too large."""
        size, limit = len(args.encode()), self.settings.max_args_bytes
        if size > limit:
            raise InvalidArgsError(
                enqueuer.kind,
                f"{size} bytes of JSON are more than the limit of {limit}; store the data "
                "elsewhere and pass a reference, or raise Dibs(max_args_bytes=…)",
            )
        return enqueuer.options.job(enqueuer.kind, args)

    def handler_of(self, kind: str) -> Handler[..., Any]:
        """Return the handler of a kind.

        Raises:
            UnknownKindError: none is registered under it.
        """
        handler = self.handlers.get(kind)
        if handler is None:
            raise UnknownKindError(kind, list(self.handlers))
        return handler

    def _named(self, kind: str, args: Mapping[str, Any], overrides: Overrides) -> Operation[Job]:
        handler = self.handler_of(kind)
        using = handler.using(**overrides)
        return enqueue_one(self.new_job(using, handler.schema.dump(args)))

    def enqueue(
        self,
        kind: str,
        args: Mapping[str, Any] | None = None,
        *,
        connection: object | None = None,
        **overrides: Unpack[Overrides],
    ) -> Job:
        """Store a job by the name of its kind.

        Args:
            kind: the registered name of the handler.
            args: its args by name. Default none.
            connection: enqueue inside this connection's open transaction.
            overrides: as `handler.using(…)` takes them.

        Raises:
            UnknownKindError: no handler is registered under this kind.
            InvalidArgsError: the args don't fit the handler's annotations.
            InvalidJobError: an option is out of its range, or two contradict each other.
            DuplicateJobError: another job holds its key, and is to be replaced and can't be, or
                is not to be returned.

        Example:
            >>> app.enqueue("send_confirmation", {"order_id": 1, "email": "a@b.c"}, priority=20)
        """
        plan = self._named(kind, {} if args is None else args, overrides)
        return self.runner_for(connection).run(plan)

    async def aenqueue(
        self,
        kind: str,
        args: Mapping[str, Any] | None = None,
        *,
        connection: object | None = None,
        **overrides: Unpack[Overrides],
    ) -> Job:
        """Like `enqueue`, without blocking the event loop."""
        plan = self._named(kind, {} if args is None else args, overrides)
        return await self.runner_for(connection).arun(plan)

    def enqueue_many(
        self, requests: Iterable[NewJob], *, connection: object | None = None
    ) -> list[int]:
        """Store many jobs in one transaction, all or none; return their ids, in the order given.

        In the place of a job whose key another one holds stands the id of that one; with
        `on_conflict="skip"` none does.

        Args:
            requests: what `handler.request(…)` or `handler.using(…).request(…)` returned.
            connection: enqueue inside this connection's open transaction.

        Raises:
            InvalidJobError: something else than a request is among them.
            DuplicateJobError: another job holds a key, and is to be replaced and can't be, or is
                not to be returned.

        Example:
            >>> app.enqueue_many(send_confirmation.request(n, email) for n, email in orders)
        """
        return self.runner_for(connection).run(enqueue_many(checked(requests)))

    async def aenqueue_many(
        self, requests: Iterable[NewJob], *, connection: object | None = None
    ) -> list[int]:
        """Like `enqueue_many`, without blocking the event loop."""
        return await self.runner_for(connection).arun(enqueue_many(checked(requests)))

    # --- Looking, and the rest -------------------------------------------------------------

    def _stats(self) -> Operation[Stats]:
        """Return how many jobs stand where, how many ended, and which workers live."""
        return stats_read()

    stats = sync_face(_stats)
    astats = async_face(_stats)

    def migrate(self) -> list[str]:
        """Create or upgrade the tables, and return the names of the migrations that ran.

        Safe to call from any number of processes at once. SQLite files migrate themselves on
        first use.

        Raises:
            SchemaError: the tables are newer than this version of dibs.
            StoreUnavailableError: the database cannot be reached.
        """
        return self.store.migrate()

    def close(self) -> None:
        """Close the connections; they are opened again when needed."""
        self.store.close()

    async def aclose(self) -> None:
        """Close the connections, including those of the running event loop."""
        await self.store.aclose()


def _micros(clock: Callable[[], datetime] | None) -> Clock | None:
    if clock is None:
        return None
    return lambda: to_micros(clock(), "clock")
