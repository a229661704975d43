"""The figures of a run."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement, beside that of the bare driver where there is one to compare with."""

    key: str
    label: str
    unit: str
    dibs: float
    raw: float | None = None

    @property
    def ratio(self) -> float | None:
        """How much of the limit dibs reaches; for costs, how much more than the limit it takes."""
        return self.dibs / self.raw if self.raw else None


@dataclass(slots=True)
class Report:
    """All figures, and where they come from."""

    database: str
    engine: str
    jobs: int
    python: str = field(default_factory=platform.python_version)
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    figures: list[Figure] = field(default_factory=list)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all values don't exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
