"""The order in which waiting jobs start.

A queue is a set of lines, one per priority; each line is first in, first out by `scheduled_at`,
then id. Strict order serves the highest priority that has a job. Because every line is ordered
in itself, the next jobs of several lines or queues are a merge of their heads: nothing behind a
line's head can come before it. Both engines claim in the order of `strict_key`.
"""

from __future__ import annotations

from typing import NamedTuple


class Standing(NamedTuple):
    """What decides a ready job's turn."""

    priority: int
    scheduled_at: int
    """Microseconds since 1970 UTC."""
    job_id: int


def strict_key(standing: Standing) -> tuple[int, int, int]:
    """Return the sort key of strict order: priority descending, scheduled_at, id.

    Example:
        >>> sorted([Standing(0, 1, 1), Standing(20, 9, 2)], key=strict_key)[0].job_id
        2
    """
    return (-standing.priority, standing.scheduled_at, standing.job_id)
