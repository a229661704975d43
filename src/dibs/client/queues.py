"""`app.queues`: the policies of queues, in code and while the system runs, and their pauses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, cast

from dibs.client.faces import async_face, sync_face
from dibs.model.aging import Aging
from dibs.model.fair import Fair
from dibs.model.job import ByPriority, check_name
from dibs.model.pauses import make_pause
from dibs.model.queues import QueuePolicy
from dibs.model.retention import Retention
from dibs.model.times import Duration
from dibs.store.ops import queues
from dibs.store.ops.queues import Queue
from dibs.store.runner import Runner
from dibs.store.statement import Operation

if TYPE_CHECKING:
    from dibs.client.client import Client


class Queues:
    """The queues of an app; every method but `declare` has an a… twin for async code."""

    def __init__(self, client: Client) -> None:
        """Look at the queues in the client's database."""
        self._client = client
        self.declared: dict[str, QueuePolicy] = {}

    @property
    def _runner(self) -> Runner:
        return self._client.store

    def declare(
        self,
        name: str,
        *,
        aging: Aging | None = None,
        weights: ByPriority | None = None,
        timeout: Duration | None = None,
        retention: Retention | None = None,
        concurrency: int | None = None,
        fair_by: Fair | str | None = None,
    ) -> None:
        """Say in code which policy a queue has; a worker stores it when it starts.

        What was configured while the system ran wins over it. It stays stored when it is taken out
        of the code; declare the queue without any to return it to strict order.

        Args:
            name: of the queue.
            aging: how waiting jobs gain priority. Default not at all.
            weights: the share of each level. Default none: strictly by priority.
            timeout: seconds or timedelta that an attempt may take, where neither the job nor its
                kind says. Default no limit.
            retention: how long its ended jobs are kept, and how many. Default as `Retention()`
                says: completed and cancelled ones for 7 days, dead letters until purged.
            concurrency: how many of its jobs run at once, on all workers. Default any number.
            fair_by: the arg whose values, tenants say, take turns while several have work; with
                weights or exempt priorities a `Fair`. Default none.

        Raises:
            InvalidJobError: something that can't be a queue's name, or a level that is no priority.
            ConfigurationError: the policy can't be.

        Example:
            >>> app.queues.declare("reports", aging=Aging(after=600, every=60))
        """
        policy = _policy(aging, weights, timeout, retention, concurrency, fair_by)
        self.declared[check_name(name, "queue")] = policy

    def _configure(
        self,
        name: str,
        *,
        aging: Aging | None = None,
        weights: ByPriority | None = None,
        timeout: Duration | None = None,
        retention: Retention | None = None,
        concurrency: int | None = None,
        fair_by: Fair | str | None = None,
    ) -> Operation[Queue]:
        """Set the policy of a queue from now on; every worker follows it at its next claim.

        Wins over what code declares, until `reset`. Without aging and weights the order is strict.

        Args:
            name: of the queue.
            aging: how waiting jobs gain priority. Default not at all.
            weights: the share of each level, as in `{20: 8, 10: 4, 5: 2, 0: 1}`: of 15 jobs that
                start, 8 have a priority of 20 or more, 4 one from 10 to 19, and so on, as long as
                all have work. Default none: strictly by priority.
            timeout: seconds or timedelta that an attempt may take, where neither the job nor its
                kind says. Default no limit.
            retention: how long its ended jobs are kept before workers prune them, and how many,
                as in `Retention(completed=3600, dead=timedelta(days=30))`. Default as
                `Retention()` says: completed and cancelled ones for 7 days, dead letters until
                purged.
            concurrency: how many of its jobs run at once, on all workers. Default any number.
            fair_by: the arg whose values, tenants say, take turns while several have work; with
                weights or exempt priorities a `Fair`. Default none.

        Raises:
            InvalidJobError: something that can't be a queue's name, or a level that is no priority.
            ConfigurationError: the policy can't be.

        Example:
            >>> app.queues.configure("mail", aging=Aging(after=600, every=60, step=1, ceiling=20))
        """
        policy = _policy(aging, weights, timeout, retention, concurrency, fair_by)
        return queues.queue_configure(check_name(name, "queue"), policy)

    def _reset(self, name: str) -> Operation[Queue]:
        """Return a queue to the policy that code declares, or to strict order.

        Raises:
            InvalidJobError: something that can't be a queue's name.
        """
        return queues.queue_reset(check_name(name, "queue"))

    def _pause(
        self,
        name: str,
        *,
        reason: str | None = None,
        author: str | None = None,
        until: datetime | None = None,
        lasting: Duration | None = None,
    ) -> Operation[Queue]:
        """Have no job of a queue start from now on, on any worker.

        What runs goes on, and what a worker has claimed and not started starts or is given back
        within a quarter of a second. Jobs can be enqueued, and wait. Pausing a queue that is
        paused says anew why, by whom and until when.

        Args:
            name: of the queue.
            reason: shown with it. Default none.
            author: who pauses it. Default nobody is named.
            until: an aware moment at which it is resumed by itself. Default never.
            lasting: seconds or timedelta after which it is, instead of `until`.

        Raises:
            InvalidJobError: something that can't be a queue's name, or `until` is no aware
                datetime, or given together with `lasting`.
            ConfigurationError: `lasting` is no length of time, or shorter than 0.001 seconds.
            DibsError: the reason or `author` is no text that both engines can store.

        Example:
            >>> app.queues.pause("mail", reason="the relay is down", author="ann", lasting=3600)
        """
        pause = make_pause(reason, author, until, lasting)
        return queues.queue_pause(check_name(name, "queue"), pause)

    def _resume(self, name: str) -> Operation[Queue]:
        """Let jobs of a queue start again, within a second; one that is not paused stays as it is.

        Raises:
            InvalidJobError: something that can't be a queue's name.
        """
        plan = queues.queue_resume(check_name(name, "queue"))
        return replace(plan, nudges=lambda queue: {queue.name})

    def _get(self, name: str) -> Operation[Queue]:
        """Return a queue with its policy, strict where nobody said anything, and its pause.

        Raises:
            InvalidJobError: something that can't be a queue's name.
        """
        return queues.queue_get(check_name(name, "queue"))

    def _list(self) -> Operation[list[Queue]]:
        """Return the queues that have a policy, had one or are paused, by name."""
        return queues.queue_list()

    configure = sync_face(_configure)
    aconfigure = async_face(_configure)
    reset = sync_face(_reset)
    areset = async_face(_reset)
    pause = sync_face(_pause)
    apause = async_face(_pause)
    resume = sync_face(_resume)
    aresume = async_face(_resume)
    get = sync_face(_get)
    aget = async_face(_get)
    list = sync_face(_list)
    alist = async_face(_list)


def _policy(
    aging: Aging | None,
    weights: ByPriority | None,
    timeout: Duration | None,
    retention: Retention | None,
    concurrency: int | None,
    fair_by: Fair | str | None,
) -> QueuePolicy:
    shares = {} if weights is None else cast("Mapping[int, int]", weights)
    fair = Fair(fair_by) if isinstance(fair_by, str) else fair_by
    return QueuePolicy(aging, shares, timeout, retention, concurrency, fair)
