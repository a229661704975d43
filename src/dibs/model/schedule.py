"""What a schedule is: when it ticks, which job each tick gets, and by which policies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypedDict, cast

from pydantic import TypeAdapter, ValidationError

from dibs.errors import ConfigurationError, DibsError, InvalidScheduleError
from dibs.model.job import NewJob
from dibs.model.ticks import Missed, Overlap
from dibs.model.times import SECOND, Duration, duration, in_seconds
from dibs.model.timing import Timing, timing_to_json

_JOBS = TypeAdapter(NewJob)


class TickOptions(TypedDict, total=False):
    """What the jobs of a schedule may have differently from what their handler declares."""

    queue: str
    """Which queue they go to."""
    priority: int
    """From -32768 to 32767; higher runs first."""
    max_attempts: int
    """How often each may be tried, 1 to 1,000,000."""
    timeout: Duration | None
    """Seconds or timedelta that an attempt may take; None for no limit."""


@dataclass(frozen=True)
class ScheduleSpec:
    """When a schedule ticks, which job each tick gets, and by which policies."""

    timing: Timing
    """When it ticks."""
    job: NewJob
    """What each tick enqueues, as it was when the schedule was written."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What was said differently from what the handler declares."""
    missed: Missed = Missed.ONCE
    """What becomes of ticks that nobody fired in time."""
    overlap: Overlap = Overlap.ALLOW
    """What a tick does while the job of an earlier one has not ended."""
    jitter: Duration = 0
    """Seconds or timedelta up to which the start of a tick's job is put off, by chance."""

    def __post_init__(self) -> None:
        """Check the policies.

        Raises:
            InvalidScheduleError: a policy that is none, or a jitter out of its range.
        """
        if not isinstance(self.missed, Missed):
            raise InvalidScheduleError(
                f"missed={self.missed!r}: expected Missed.SKIP, Missed.ONCE or Missed.all(n)"
            )
        try:
            object.__setattr__(self, "overlap", Overlap(self.overlap))
            micros = duration(self.jitter, "jitter")
        except ConfigurationError as error:
            raise InvalidScheduleError(str(error)) from error
        except ValueError as error:
            known = ", ".join(Overlap)
            raise InvalidScheduleError(
                f"overlap={self.overlap!r}: expected one of {known}"
            ) from error
        object.__setattr__(self, "jitter", timedelta(microseconds=micros))
        if self.options.get("timeout") is not None:
            limit = duration(self.options["timeout"], "timeout") / SECOND
            object.__setattr__(self, "options", {**self.options, "timeout": limit})

    @property
    def kind(self) -> str:
        """The kind of its jobs."""
        return self.job.kind

    @property
    def args(self) -> dict[str, Any]:
        """The args of its jobs, as JSON values."""
        return cast("dict[str, Any]", json.loads(self.job.args))

    @property
    def most_jitter(self) -> int:
        """`jitter` in microseconds."""
        return duration(self.jitter, "jitter")

    def __str__(self) -> str:
        """Say when it ticks, and what is not by default."""
        words = [str(self.timing)]
        words += [] if self.missed == Missed.ONCE else [f"missed {self.missed}"]
        words += [] if self.overlap is Overlap.ALLOW else [f"overlap {self.overlap}"]
        words += [f"jitter {in_seconds(self.most_jitter / SECOND)} s"] if self.most_jitter else []
        return "; ".join(words)


def template(job: NewJob) -> NewJob:
    """Return a job without a time: each tick gives it one."""
    return replace(job, delay=0, scheduled_at=None)


def spec_to_json(spec: ScheduleSpec) -> str:
    """Return a spec as it is stored; equal ones as equal texts."""
    value = {
        **timing_to_json(spec.timing),
        "job": _JOBS.dump_python(spec.job, mode="json", exclude_defaults=True),
        "options": dict(spec.options),
        "missed": str(spec.missed),
        "overlap": str(spec.overlap),
        "jitter": spec.most_jitter / SECOND,
    }
    return json.dumps(value, sort_keys=True)


@lru_cache(maxsize=1024)
def spec_from_json(text: str) -> ScheduleSpec | None:
    """Return the spec that a schedule's row holds; None where it cannot be read.

    Somebody else may have written it, or a later version: a bad row must not stop the others.
    """
    try:
        value = json.loads(text)
        timing = Timing(value.pop("cron", None), value.pop("every", None), value.pop("tz", "UTC"))
        job = _JOBS.validate_python(value.pop("job"))
        missed, overlap = Missed.read(value.pop("missed")), value.pop("overlap")
        spec = ScheduleSpec(timing, job, value.pop("options"), missed, overlap, value.pop("jitter"))
        json.loads(job.args)
    except (DibsError, ValidationError, ValueError, TypeError, AttributeError, KeyError):
        return None
    except RecursionError:
        return None
    return None if value else spec
