"""`app.jobs`: looking at jobs, changing those that wait, and cancelling."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, cast

from dibs.client.faces import async_face, sync_face
from dibs.client.options import Overrides, start_of
from dibs.errors import DibsError, InvalidJobError, JobNotFoundError
from dibs.explain.explanation import MOST, Explanation, job_explain
from dibs.model.job import Job, State, check_name, check_priority
from dibs.model.times import Duration
from dibs.store.ops import jobs
from dibs.store.ops.jobs import Attempt
from dibs.store.runner import Runner
from dibs.store.statement import Operation

if TYPE_CHECKING:
    from dibs.client.client import Client

LIST_LIMIT = 10_000
COUNT_LIMIT = 1_000_000
ID_LIMIT = 2**63
"""No database gives an id from here on; PostgreSQL would refuse to look for it."""


class Jobs:
    """The jobs of an app; every method has an a… twin for async code."""

    def __init__(self, client: Client) -> None:
        """Look at the jobs in the client's database."""
        self._client = client

    @property
    def _runner(self) -> Runner:
        return self._client.store

    def _get(self, job_id: int) -> Operation[Job]:
        """Return a job, live or ended.

        Raises:
            JobNotFoundError: no job has this id.
        """
        return jobs.job_get(check_id(job_id))

    def _attempts(self, job_id: int) -> Operation[list[Attempt]]:
        """Return the records of a job's attempts, oldest first, the one that runs included.

        Raises:
            JobNotFoundError: no job has this id.
        """
        return jobs.job_attempts(check_id(job_id))

    def _explain(self, job_id: int, *, most: int = MOST) -> Operation[Explanation]:
        """Return why a job is not running: what is ahead of it, and who could run it.

        Args:
            job_id: which job.
            most: how many jobs ahead of it are counted, 1 to 1,000,000. Default 10,000.

        Raises:
            JobNotFoundError: no job has this id.
            DibsError: `most` is out of range.

        Example:
            >>> print(app.jobs.explain(job.id))
            Job 1 (send_confirmation, queue mail) is ready: it has been waiting for a worker ...
        """
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= COUNT_LIMIT:
            raise DibsError(f"most={most!r}: expected a number from 1 to {COUNT_LIMIT}")
        return job_explain(check_id(job_id), most)

    def _list(
        self,
        *,
        state: State | str | None = None,
        kind: str | None = None,
        queue: str | None = None,
        limit: int = 100,
    ) -> Operation[list[Job]]:
        """Return jobs in the order that matters in their state.

        Ready ones come in claim order, blocked ones by priority, scheduled_at and id, scheduled
        ones by due time, running ones by start, and all others, or jobs of any state, the newest
        first.

        Args:
            state: only those in this state. Default any.
            kind: only those of this kind. Default any.
            queue: only those of this queue. Default any.
            limit: how many at most, 1 to 10,000. Default 100.

        Raises:
            DibsError: an unknown state, a limit out of range, or what can't be a name.
        """
        try:
            wanted = None if state is None else State(state)
        except ValueError as error:
            known = ", ".join(State)
            raise DibsError(f"state={state!r}: expected one of {known}") from error
        for name, value in (("kind", kind), ("queue", queue)):
            if value is not None:
                check_name(value, name)
        return jobs.job_list(wanted, kind, queue, check_limit(limit))

    def _cancel(self, job_id: int, reason: str | None = None) -> Operation[Job]:
        """Cancel a job, and return it as it is then: cancelled if it waited.

        One that runs is returned with `cancelling=True`. Its worker sees the request within a
        second, and ends the attempt: an async handler is cancelled, a child process killed. A
        thread can only be told: `ctx.cancelled`. The job ends cancelled, unless its handler
        returned in spite of it, and so has done the work.

        Args:
            job_id: which job.
            reason: shown with the job. Default none.

        Raises:
            JobNotFoundError: no job has this id.
            JobStateError: it has ended.
            DibsError: the reason is no text that both engines can store.
        """
        if reason is not None and (
            not isinstance(reason, str)
            or any(char == "\0" or "\ud800" <= char <= "\udfff" for char in reason)
        ):
            raise DibsError(
                f"reason={reason!r}: expected text without null characters and surrogates"
            )
        return jobs.job_cancel(check_id(job_id), reason)

    def _reprioritize(self, job_id: int, priority: int) -> Operation[Job]:
        """Change the priority of a waiting job, and return the job as it is then.

        It keeps its `scheduled_at`, so among jobs of the new priority it stands as if it had
        been enqueued with it.

        Args:
            job_id: which job.
            priority: from -32768 to 32767; higher runs first.

        Raises:
            JobNotFoundError: no job has this id.
            JobStateError: it is running, or has ended.
            InvalidJobError: the priority is no integer, or out of range.

        Example:
            >>> app.jobs.reprioritize(job.id, Priority.CRITICAL)
        """
        plan = jobs.job_reprioritize(check_id(job_id), check_priority(priority))
        # Its new line may be another worker's; and who looked while it moved has passed it over.
        return replace(plan, nudges=lambda job: {job.queue})

    def _reschedule(
        self, job_id: int, *, delay: Duration | None = None, scheduled_at: datetime | None = None
    ) -> Operation[Job]:
        """Give a waiting job another time to start, and return the job as it is then.

        It is scheduled until then, and ready where its time has come. Its priority, its attempts
        and its unique key stay. What has waited counts no more: among jobs of its priority it
        stands where its new time puts it, and aging counts from there. A job that is blocked stays
        so where its new time has come.

        Args:
            job_id: which job.
            delay: seconds or timedelta from now until it may start; 0 makes it ready.
            scheduled_at: aware moment from which it may start, instead of `delay`.

        Raises:
            JobNotFoundError: no job has this id.
            JobStateError: it is running, or has ended.
            InvalidJobError: neither is given or both, a naive datetime, or no length of time.

        Example:
            >>> app.jobs.reschedule(job.id, delay=timedelta(hours=1))
        """
        given = {"delay": delay, "scheduled_at": scheduled_at}
        overrides = {name: value for name, value in given.items() if value is not None}
        if not overrides:
            raise InvalidJobError("when is the job to start? give delay or scheduled_at")
        start = start_of(cast("Overrides", overrides))
        plan = jobs.job_reschedule(check_id(job_id), start["scheduled_at"], start["delay"] or 0)
        return replace(plan, nudges=lambda job: {job.queue})

    get = sync_face(_get)
    aget = async_face(_get)
    attempts = sync_face(_attempts)
    aattempts = async_face(_attempts)
    explain = sync_face(_explain)
    aexplain = async_face(_explain)
    list = sync_face(_list)
    alist = async_face(_list)
    cancel = sync_face(_cancel)
    acancel = async_face(_cancel)
    reprioritize = sync_face(_reprioritize)
    areprioritize = async_face(_reprioritize)
    reschedule = sync_face(_reschedule)
    areschedule = async_face(_reschedule)


def check_limit(limit: int) -> int:
    """Return how many a list shall have at most.

    Raises:
        DibsError: no number, or out of range.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LIST_LIMIT:
        raise DibsError(f"limit={limit!r}: expected a number from 1 to {LIST_LIMIT}")
    return limit


def check_id(job_id: int) -> int:
    """Return `job_id`.

    Raises:
        DibsError: something that is no id.
        JobNotFoundError: what no database gives as an id.
    """
    if isinstance(job_id, bool) or not isinstance(job_id, int):
        raise DibsError(f"job id {job_id!r}: expected an integer")
    if not 0 < job_id < ID_LIMIT:
        raise JobNotFoundError(job_id)
    return job_id
