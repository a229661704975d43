"""The choices: the same jobs in ten slots, under five policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dibs import Priority
from dibs.model.aging import Aging
from dibs.model.lines import Serving
from dibs.model.queues import STRICT, QueuePolicy

from .flood import SLOTS

QUEUE = "default"
EVERYTHING = Serving((QUEUE,))


@dataclass(frozen=True)
class Crew:
    """One worker: its slots, and what it takes."""

    slots: int = SLOTS
    serving: Serving = EVERYTHING
    reserve: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """A policy, and the workers that follow it."""

    name: str
    code: str
    """What it is in a program."""
    policy: QueuePolicy = STRICT
    crews: tuple[Crew, ...] = (Crew(),)


CHOICES = (
    Choice("strict", "the default"),
    Choice("aging", "aging=Aging()", QueuePolicy(aging=Aging())),
    Choice(
        "dedicated workers",
        "9 slots for all, 1 with priorities=(None, 9)",
        crews=(Crew(SLOTS - 1), Crew(1, Serving((QUEUE,), highest=Priority.HIGH - 1))),
    ),
    Choice(
        "reserved slots",
        "reserve={Priority.CRITICAL: 2}",
        crews=(Crew(reserve={Priority.CRITICAL: 2}),),
    ),
    Choice(
        "weights",
        "weights={20: 8, 10: 4, 5: 2, 0: 1}",
        QueuePolicy(weights={20: 8, 10: 4, 5: 2, 0: 1}),
    ),
)
