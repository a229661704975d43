"""`Dibs`, the application object: the client's side and the workers in one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from dibs.client.client import Client
from dibs.client.settings import make_settings
from dibs.doctor.examine import examine
from dibs.doctor.finding import Diagnosis
from dibs.model.job import ByPriority
from dibs.model.times import Duration
from dibs.worker.options import Priorities, Served, make_options
from dibs.worker.worker import Worker


class Dibs(Client):
    """A job queue in a database: declare handlers, enqueue jobs, run workers.

    Example:
        >>> app = Dibs("sqlite:///shop.db")
        >>> @app.job(queue="mail", priority=Priority.HIGH)
        ... def send_confirmation(order_id: int, email: str) -> None:
        ...     print(f"order {order_id} confirmed to {email}")
        >>> job = send_confirmation.enqueue(order_id=1, email="a@example.com")
        >>> app.worker().run(until_idle=True)
        order 1 confirmed to a@example.com
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        heartbeat: Duration = 5,
        lease: Duration = 30,
        max_crashes: int = 3,
        max_args_bytes: int = 1_000_000,
        stalled_after: Duration = 300,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        """Name the database; nothing is opened before the first operation.

        Args:
            url: `sqlite:///file.db` or `postgresql://user@host/database`. Default `$DIBS_URL`,
                and without that `sqlite:///dibs.db`.
            heartbeat: seconds or timedelta between two signs of life of a worker. Default 5.
            lease: how long a silent worker keeps its jobs before others rescue them; at least
                three heartbeats. Default 30.
            max_crashes: how often a job's worker may die before the job is buried. Default 3.
            max_args_bytes: largest payload, in bytes of JSON. Default 1,000,000.
            stalled_after: how long the first job of a line waits, the same one, until workers
                warn that the line does not move. Default 300.
            clock: returns the time, aware, for tests. Default the database's own clock.

        Raises:
            ConfigurationError: a URL of neither engine, or a value out of its range.
            MissingDependencyError: the driver for this URL is not installed.
        """
        settings = make_settings(heartbeat, lease, max_crashes, max_args_bytes, stalled_after)
        super().__init__(url, settings, clock)

    def worker(
        self,
        queues: Served | None = None,
        *,
        concurrency: int = 10,
        priorities: Priorities | None = None,
        reserve: ByPriority | None = None,
        grace: Duration = 30,
        poll: Duration = 0.25,
        give_up_after: Duration | None = 300,
        max_jobs: int | None = None,
        max_memory: int | str | None = None,
        max_leaked: int = 10,
    ) -> Worker:
        """Return a worker for the registered handlers; `run()` or `await arun()` starts it.

        Args:
            queues: which queues it serves; priority counts across them. With weights, as in
                `{"mail": 3, "reports": 1}`, they take turns in proportion instead. Default the
                queues that the registered handlers were declared with.
            concurrency: how many jobs run at once. Default 10.
            priorities: the lowest and the highest priority that it takes, None for no bound;
                `(10, None)` makes a worker for urgent jobs alone. Default all.
            reserve: how many of its slots are kept for jobs from a priority on; with
                `{Priority.HIGH: 2}` two slots only run jobs of 10 and more. Default none.
            grace: seconds or timedelta that running jobs have to finish when it stops. Default 30.
            poll: seconds or timedelta between two looks when no nudge comes. Default 0.25.
            give_up_after: seconds or timedelta, at least the lease, without a heartbeat that
                reached the database, after which `run()` raises `StoreUnavailableError`; None for
                never. Default 300.
            max_jobs: after how many jobs it recycles: it stops gracefully, `run` returns, and
                `worker.recycling` says why. Default never.
            max_memory: at which resident memory of its process it recycles, in bytes or as
                `"512MB"`. Default never.
            max_leaked: at how many handlers that it had to leave behind, because they did not end
                when their time was up, it recycles. Default 10.

        Raises:
            ConfigurationError: no handlers, no queues, or a value out of its range.
            InvalidJobError: something that can't be a queue's name or a priority.

        Example:
            >>> app.worker(queues=["mail"], concurrency=20).run()
        """
        options = make_options(
            queues,
            {handler.options.queue for handler in self.handlers.values()},
            concurrency=concurrency,
            priorities=priorities,
            reserve=reserve,
            grace=grace,
            poll=poll,
            give_up_after=give_up_after,
            lease=self.settings.lease,
            max_jobs=max_jobs,
            max_memory=max_memory,
            max_leaked=max_leaked,
        )
        return Worker(self, options)

    def doctor(self) -> Diagnosis:
        """Look the database and its workers over, and say what to do; changes nothing.

        What cannot be read is a finding, not an error.

        Example:
            >>> for finding in app.doctor().findings:
            ...     print(finding.level, finding.code, finding.message, finding.advice)
        """
        return examine(self.store, self.clock)

    async def adoctor(self) -> Diagnosis:
        """Like `doctor`, without blocking the event loop."""
        return await asyncio.to_thread(self.doctor)
