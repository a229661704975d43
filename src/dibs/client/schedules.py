"""`app.schedules`: jobs that recur, declared in code or written while the system runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Unpack

from dibs.client.faces import async_face, sync_face
from dibs.client.jobs import check_limit
from dibs.client.scheduling import Declaration, make_spec
from dibs.errors import InvalidScheduleError
from dibs.model.dead import check_text
from dibs.model.job import Job, check_name
from dibs.model.schedule import ScheduleSpec, TickOptions
from dibs.model.ticks import Missed, Overlap
from dibs.model.times import Duration
from dibs.model.timing import Timing
from dibs.store.ops import schedules, ticks
from dibs.store.ops.schedules import Schedule
from dibs.store.ops.ticks import Tick
from dibs.store.runner import Runner
from dibs.store.statement import Operation

if TYPE_CHECKING:
    from dibs.client.client import Client


class Schedules:
    """The schedules of an app; every method has an a… twin for async code."""

    def __init__(self, client: Client) -> None:
        """Look at the schedules in the client's database."""
        self._client = client
        self.declarations: dict[str, Declaration] = {}

    @property
    def _runner(self) -> Runner:
        return self._client.store

    @property
    def declared(self) -> dict[str, ScheduleSpec]:
        """What code declares with `@app.schedule`, by name; a worker stores it when it starts."""
        return {name: one.spec for name, one in self.declarations.items()}

    # --- Writing ---------------------------------------------------------------------------

    def _create(
        self,
        name: str,
        kind: str,
        args: Mapping[str, Any] | None = None,
        *,
        cron: str | None = None,
        every: Duration | None = None,
        tz: str = "UTC",
        missed: Missed = Missed.ONCE,
        overlap: Overlap | str = Overlap.ALLOW,
        jitter: Duration = 0,
        **options: Unpack[TickOptions],
    ) -> Operation[Schedule]:
        """Store a schedule; workers fire it from now on.

        Args:
            name: by which it is known from now on.
            kind: of its jobs; this app has to have its handler.
            args: of its jobs, by name. Default none.
            cron: an expression of five fields, or @daily and the like.
            every: seconds or timedelta between two ticks, in place of `cron`.
            tz: the time zone of `cron`, by its IANA name. Default "UTC".
            missed: what becomes of ticks that nobody fired in time. Default `Missed.ONCE`.
            overlap: what a tick does while the job of an earlier one has not ended: "allow",
                "skip" or "cancel_previous". Default "allow".
            jitter: seconds or timedelta up to which jobs are put off, by chance. Default 0.
            options: `queue`, `priority`, `max_attempts`, `timeout`; default what the handler says
                now.

        Raises:
            ScheduleExistsError: there is one of this name.
            InvalidScheduleError: the timing, a policy, or the jitter cannot be.
            UnknownKindError: this app has no handler of this kind.
            InvalidJobError: a name or an option that cannot be, or args that don't fit.

        Example:
            >>> app.schedules.create("evening", "report", cron="0 18 * * *", tz="Europe/Berlin")
        """
        spec = make_spec(
            self._client, kind, Timing(cron, every, tz), {} if args is None else args, options,
            missed=missed, overlap=overlap, jitter=jitter,
        )  # fmt: skip
        return schedules.schedule_create(_checked(name), spec)

    def _update(
        self,
        name: str,
        *,
        args: Mapping[str, Any] | None = None,
        cron: str | None = None,
        every: Duration | None = None,
        tz: str | None = None,
        missed: Missed | None = None,
        overlap: Overlap | str | None = None,
        jitter: Duration | None = None,
        **options: Unpack[TickOptions],
    ) -> Operation[Schedule]:
        """Change what a schedule does from now on; what is not given stays.

        It wins over what code declares, until `reset`. Where the timing is another then, the next
        tick is the first one after now; otherwise it stays.

        Args:
            name: which one.
            args: of its jobs, all of them. Args and options need the handler of its kind.
            cron: an expression, also in place of an interval.
            every: an interval, also in place of an expression.
            tz: the time zone of the expression.
            missed: what becomes of ticks that nobody fired in time.
            overlap: what a tick does while the job of an earlier one has not ended.
            jitter: up to which jobs are put off.
            options: as for `create`.

        Raises:
            ScheduleNotFoundError: none has this name.
            InvalidScheduleError: the timing, a policy, or the jitter cannot be.
            UnknownKindError: args or options are given, and this app has no handler of its kind.
            InvalidJobError: an option that cannot be, or args that don't fit.

        Example:
            >>> app.schedules.update("evening", cron="30 18 * * *", overlap="skip")
        """
        if cron is not None or every is not None:
            Timing(cron, every, tz or "UTC")  # refused before anything is opened
        told = {"missed": missed, "overlap": overlap, "jitter": jitter}
        policies = {key: value for key, value in told.items() if value is not None}

        def edit(spec: ScheduleSpec) -> ScheduleSpec:
            edited = replace(spec, timing=_retimed(spec.timing, cron, every, tz), **policies)  # type: ignore[arg-type]
            if args is None and not options:
                return edited
            said, job_args = {**spec.options, **options}, spec.args if args is None else args
            made = make_spec(self._client, spec.kind, edited.timing, job_args, said)
            return replace(edited, job=made.job, options=made.options)

        return schedules.schedule_update(_checked(name), edit)

    def _reset(self, name: str) -> Operation[Schedule]:
        """Return a schedule to what code declares; one that no code declares is left alone.

        Raises:
            ScheduleNotFoundError: none has this name.
        """
        return schedules.schedule_reset(_checked(name))

    def _pause(
        self, name: str, reason: str | None = None, *, author: str | None = None
    ) -> Operation[Schedule]:
        """Have a schedule tick no more, whatever code declares, until `resume`.

        Args:
            name: which one.
            reason: why, shown with it. Default none.
            author: who says so. Default none.

        Raises:
            ScheduleNotFoundError: none has this name.
            DibsError: a reason or author that is no text, or too long.
        """
        why = None if reason is None else check_text(reason, "reason")
        who = None if author is None else check_text(author, "author")
        return schedules.schedule_pause(_checked(name), why, who)

    def _resume(self, name: str) -> Operation[Schedule]:
        """Have a schedule tick again; what it would have done meanwhile is not made up for.

        Raises:
            ScheduleNotFoundError: none has this name.
        """
        return schedules.schedule_resume(_checked(name))

    def _delete(self, name: str) -> Operation[None]:
        """Remove a schedule and its history; its jobs stay.

        One that code declares comes back when the next worker starts: pause it instead.

        Raises:
            ScheduleNotFoundError: none has this name.
        """
        return schedules.schedule_delete(_checked(name))

    def _run_now(self, name: str) -> Operation[Job]:
        """Store a job of a schedule at once, also while it is paused; its next tick stays.

        Raises:
            ScheduleNotFoundError: none has this name.
            DuplicateJobError: its kind has unique jobs, and another one is not to be returned or
                can't be replaced.

        Example:
            >>> job = app.schedules.run_now("evening")
        """
        plan = ticks.schedule_run(_checked(name))
        return replace(plan, nudges=lambda job: {job.queue})

    # --- Looking ---------------------------------------------------------------------------

    def _get(self, name: str) -> Operation[Schedule]:
        """Return a schedule.

        Raises:
            ScheduleNotFoundError: none has this name.
        """
        return schedules.schedule_get(_checked(name))

    def _list(self) -> Operation[list[Schedule]]:
        """Return every schedule, by name."""
        return schedules.schedule_list()

    def _ticks(self, name: str, *, limit: int = 100) -> Operation[list[Tick]]:
        """Return what became of the newest ticks of a schedule, the newest first.

        Args:
            name: which one.
            limit: how many at most, 1 to 10,000; the newest 1,000 are kept. Default 100.

        Raises:
            ScheduleNotFoundError: none has this name.
            DibsError: a limit out of its range.
        """
        return ticks.tick_list(_checked(name), check_limit(limit))

    def _preview(
        self,
        n: int = 10,
        *,
        name: str | None = None,
        cron: str | None = None,
        every: Duration | None = None,
        tz: str = "UTC",
    ) -> Operation[list[datetime]]:
        """Return the next `n` ticks from now on, in the time zone they are written in.

        Args:
            n: how many, 1 to 10,000. Default 10.
            name: of a schedule; without it `cron` or `every` tell the ticks.
            cron: an expression, which need not be stored.
            every: an interval, which need not be stored.
            tz: the time zone of `cron`. Default "UTC".

        Raises:
            ScheduleNotFoundError: none has this name.
            InvalidScheduleError: the timing cannot be, or `n` is out of its range.

        Example:
            >>> app.schedules.preview(3, cron="0 9 * * 1-5", tz="Europe/Berlin")
        """
        if name is None:
            return schedules.schedule_preview(None, Timing(cron, every, tz), n)
        if cron is not None or every is not None:
            raise InvalidScheduleError(f"name={name!r} with cron or every: give one of them")
        return schedules.schedule_preview(_checked(name), None, n)

    create = sync_face(_create)
    acreate = async_face(_create)
    update = sync_face(_update)
    aupdate = async_face(_update)
    reset = sync_face(_reset)
    areset = async_face(_reset)
    pause = sync_face(_pause)
    apause = async_face(_pause)
    resume = sync_face(_resume)
    aresume = async_face(_resume)
    delete = sync_face(_delete)
    adelete = async_face(_delete)
    run_now = sync_face(_run_now)
    arun_now = async_face(_run_now)
    get = sync_face(_get)
    aget = async_face(_get)
    list = sync_face(_list)
    alist = async_face(_list)
    ticks = sync_face(_ticks)
    aticks = async_face(_ticks)
    preview = sync_face(_preview)
    apreview = async_face(_preview)


def _checked(name: str) -> str:
    return check_name(name, "schedule")


def _retimed(timing: Timing, cron: str | None, every: Duration | None, tz: str | None) -> Timing:
    """Return a timing with what is given of another."""
    if every is not None:
        return Timing(every=every, tz="UTC" if tz is None else tz)
    if cron is None and timing.cron is None:
        return timing if tz is None else Timing(every=timing.every, tz=tz)
    return Timing(timing.cron if cron is None else cron, None, timing.tz if tz is None else tz)
