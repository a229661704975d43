"""What a worker is told: which lines it serves, and with how many slots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from dibs.errors import ConfigurationError
from dibs.model.job import PRIORITY_MAX, PRIORITY_MIN, ByPriority, check_name, check_priority
from dibs.model.lines import Serving
from dibs.model.shares import check_weight
from dibs.model.sizes import size
from dibs.model.times import SECOND, Duration, duration
from dibs.worker.recycling import Limits

Served = Sequence[str] | Mapping[str, int]
"""Names of queues, or names with their weights."""
Priorities = tuple[int | None, int | None]
"""The lowest and the highest priority; None leaves that side open."""


@dataclass(frozen=True)
class WorkerOptions:
    """Checked options; durations in seconds."""

    serving: Serving
    concurrency: int
    reserve: Mapping[int, int]
    grace: float
    poll: float
    limits: Limits
    give_up_after: float | None
    """None: never."""


def make_options(
    queues: Served | None,
    own: Set[str],
    *,
    concurrency: int,
    priorities: Priorities | None,
    reserve: ByPriority | None,
    grace: Duration,
    poll: Duration,
    give_up_after: Duration | None,
    lease: int,
    max_jobs: int | None,
    max_memory: int | str | None,
    max_leaked: int,
) -> WorkerOptions:
    """Check options as the user gave them; `own` are the queues of the handlers.

    `lease` is in microseconds; nobody gives up before it has run out.

    Raises:
        ConfigurationError: no handlers, no queue, or a value out of its range.
        InvalidJobError: something that can't be a queue's name or a priority.
    """
    if not own:
        raise ConfigurationError(
            "no handlers are registered, so the worker could run nothing; "
            "declare some with @app.job and import their modules"
        )
    _check_count("concurrency", concurrency)
    _check_count("max_leaked", max_leaked)
    if max_jobs is not None:
        _check_count("max_jobs", max_jobs)
    memory = None if max_memory is None else size(max_memory, "max_memory")
    serving = _serving(sorted(own) if queues is None else queues, priorities)
    return WorkerOptions(
        serving,
        concurrency,
        _reserve({} if reserve is None else reserve, concurrency, serving.highest),
        duration(grace, "grace") / SECOND,
        duration(poll, "poll", minimum=0.001) / SECOND,
        Limits(max_jobs, memory, max_leaked),
        None
        if give_up_after is None
        else max(duration(give_up_after, "give_up_after"), lease) / SECOND,
    )


def _check_count(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name}={value!r}: expected a positive integer")


def _serving(queues: Served, priorities: Priorities | None) -> Serving:
    if isinstance(queues, str | bytes) or not isinstance(queues, Iterable):
        raise ConfigurationError(
            f"queues={queues!r}: expected a list of names, or weights by name, for example "
            '["mail"] or {"mail": 3, "reports": 1}'
        )
    names = tuple(dict.fromkeys(check_name(name, "queue") for name in queues))
    if not names:
        raise ConfigurationError(f"queues={queues!r}: expected at least one name")
    weights = dict(queues) if isinstance(queues, Mapping) else {}
    for name, weight in weights.items():
        check_weight(f"queues[{name!r}]", weight)
    return Serving(names, weights, *_range((None, None) if priorities is None else priorities))


def _range(priorities: Priorities) -> tuple[int, int]:
    if not isinstance(priorities, tuple | list) or len(priorities) != 2:
        raise ConfigurationError(
            f"priorities={priorities!r}: expected the lowest and the highest, for example "
            "(10, None)"
        )
    first, last = priorities
    lowest = PRIORITY_MIN if first is None else check_priority(first)
    highest = PRIORITY_MAX if last is None else check_priority(last)
    if lowest > highest:
        raise ConfigurationError(
            f"priorities={priorities!r}: the lowest is above the highest, so no job would fit"
        )
    return lowest, highest


def _reserve(reserve: ByPriority, concurrency: int, highest: int) -> dict[int, int]:
    if not isinstance(reserve, Mapping):
        raise ConfigurationError(
            f"reserve={reserve!r}: expected slots by priority, for example {{10: 2}}"
        )
    checked = {check_priority(limit): slots for limit, slots in reserve.items()}
    for limit, slots in checked.items():
        if isinstance(slots, bool) or not isinstance(slots, int) or slots < 1:
            raise ConfigurationError(
                f"reserve[{limit}]={slots!r}: expected a positive number of slots"
            )
        if limit > highest:
            raise ConfigurationError(
                f"reserve={checked!r} with priorities up to {highest}: the slots for priority "
                f"{limit} would never run a job"
            )
    if sum(checked.values()) >= concurrency:
        raise ConfigurationError(
            f"reserve={checked!r} with concurrency={concurrency}: at least one slot must be "
            "left for all; a worker for urgent jobs alone is made with priorities="
        )
    return checked
