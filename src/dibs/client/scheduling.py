"""`@app.schedule`: schedules that code declares, and what a schedule's jobs are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast

from dibs.client.handler import Handler
from dibs.client.options import Overrides
from dibs.errors import ConfigurationError, InvalidJobError
from dibs.model.job import check_name
from dibs.model.schedule import ScheduleSpec, TickOptions, template
from dibs.model.ticks import Missed, Overlap
from dibs.model.times import Duration
from dibs.model.timing import Timing

if TYPE_CHECKING:
    from dibs.client.client import Client

H = TypeVar("H", bound=Handler[..., Any])


@dataclass(frozen=True, slots=True)
class Declaration:
    """A schedule that code declares, and for which handler."""

    handler: Handler[..., Any]
    spec: ScheduleSpec


def make_spec(
    client: Client,
    kind: str,
    timing: Timing,
    args: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    missed: Missed = Missed.ONCE,
    overlap: Overlap | str = Overlap.ALLOW,
    jitter: Duration = 0,
) -> ScheduleSpec:
    """Return a spec whose args and options the handler of `kind` has checked.

    Raises:
        UnknownKindError: `client` has no handler of this kind.
        InvalidJobError: an option that cannot be, or args that don't fit.
        InvalidScheduleError: a policy that is none, or a jitter out of its range.
    """
    if unknown := options.keys() - TickOptions.__annotations__.keys():
        known = ", ".join(TickOptions.__annotations__)
        raise InvalidJobError(f"unknown option {min(unknown)!r}: expected one of {known}")
    handler = client.handler_of(kind)
    using = handler.using(**cast("Overrides", options))
    job = template(client.new_job(using, handler.schema.dump(args)))
    return ScheduleSpec(timing, job, options, missed, cast("Overlap", overlap), jitter)


class Scheduling:
    """The part of an app that declares schedules."""

    def schedule(
        self,
        cron: str | None = None,
        *,
        every: Duration | None = None,
        tz: str = "UTC",
        name: str | None = None,
        args: Mapping[str, Any] | None = None,
        missed: Missed = Missed.ONCE,
        overlap: Overlap | str = Overlap.ALLOW,
        jitter: Duration = 0,
        **options: Unpack[TickOptions],
    ) -> Callable[[H], H]:
        """Declare when a handler has jobs of its own; a worker stores it when it starts.

        May stand several times above a handler, under different names. What a person edited or
        paused while the system ran wins over it.

        Args:
            cron: an expression of five fields, or @daily and the like.
            every: seconds or timedelta between two ticks, at least 1 second, in place of `cron`.
            tz: the time zone of `cron`, by its IANA name. Default "UTC".
            name: of the schedule. Default the kind.
            args: of its jobs, by name. Default none.
            missed: what becomes of ticks that nobody fired in time. Default `Missed.ONCE`: one
                job for all of them.
            overlap: what a tick does while the job of an earlier one has not ended: "allow",
                "skip" or "cancel_previous". Default "allow".
            jitter: seconds or timedelta up to which jobs are put off, by chance. Default 0.
            options: `queue`, `priority`, `max_attempts`, `timeout`; default what the handler says.

        Raises:
            InvalidScheduleError: the timing, a policy or the jitter cannot be; of an expression,
                an InvalidCronError tells the position and the reason.
            ConfigurationError: it stands above something else than a handler, or another schedule
                has its name.
            InvalidJobError: an option that cannot be, or args that don't fit the handler.

        Example:
            >>> @app.schedule("0 9 * * 1-5", tz="Europe/Berlin")
            ... @app.job(queue="reports")
            ... def morning_report() -> None: ...
        """
        timing = Timing(cron, every, tz)

        def declare(handler: H) -> H:
            client = cast("Client", self)
            title = _unused(client, handler, name)
            spec = make_spec(
                client, handler.kind, timing, {} if args is None else args, options,
                missed=missed, overlap=overlap, jitter=jitter,
            )  # fmt: skip
            client.schedules.declarations[title] = Declaration(handler, spec)
            return handler

        return declare


def _unused(client: Client, handler: Handler[..., Any], name: str | None) -> str:
    """Return the name of a schedule that is about to be declared."""
    if not isinstance(handler, Handler):
        raise ConfigurationError(
            f"@app.schedule needs a handler, not {handler!r}; write it above @app.job"
        )
    name = check_name(handler.kind if name is None else name, "schedule")
    other = client.schedules.declarations.get(name)
    # A module that is loaded again registers its handlers anew: those before are void.
    if other is not None and client.handlers.get(other.handler.kind) is other.handler:
        raise ConfigurationError(
            f"schedule {name!r} is declared twice; give one of them another name: "
            f'@app.schedule(…, name="{name}-2")'
        )
    return name
