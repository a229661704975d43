"""One run: all measurements, one after the other, on one database."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dibs.bench.bed import Bed
from dibs.bench.draining import measure_drain, turns
from dibs.bench.enqueueing import measure_bulk, measure_single
from dibs.bench.latency import measure_beside, measure_pickup
from dibs.bench.report import Figure, Report

OnStep = Callable[[str], None]
"""Told what is measured next."""


def steps(jobs: int) -> int:
    """Return how often `on_step` is called in a run."""
    return 4 + turns(jobs)


def measure(url: str, jobs: int, on_step: OnStep) -> Report:
    """Measure everything on the database of `url`, and leave it empty.

    Raises:
        DibsError: the database holds jobs, can't be reached, or a process ended early.
    """
    with Bed(url) as bed:
        report = Report(bed.display, bed.engine, jobs)
        on_step("enqueue, one by one")
        report.figures += measure_single(bed, jobs)
        on_step("enqueue, in bulk")
        report.figures += measure_bulk(bed, jobs)
        report.figures += _told(measure_drain(bed, jobs), lambda: on_step("drain"))
        on_step("pick-up on an idle queue")
        report.figures += measure_pickup(bed, jobs)
        on_step("enqueue beside busy workers")
        report.figures += measure_beside(bed, jobs)
    return report


def _told(parts: Iterator[Figure | None], on_turn: Callable[[], None]) -> Iterator[Figure]:
    for part in parts:
        if part is None:
            on_turn()
        else:
            yield part


@contextmanager
def database(url: str | None, *, postgres: bool) -> Iterator[str]:
    """Give the URL of the database to measure; one that is made for this goes away again."""
    if url is not None:
        yield url
    elif postgres:
        from dibs.testing.postgres import PostgresCluster

        with PostgresCluster() as cluster:
            yield cluster.create_database()
    else:
        with tempfile.TemporaryDirectory(prefix="dibs-bench-") as folder:
            yield f"sqlite:///{Path(folder) / 'bench.db'}"
