"""A queue that is played, without a database: makes histories that keep every promise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tests.support.history.events import ENDS, Event, History, Record, What

MOST_ATTEMPTS = 3
STEP = 1_000_000
"""Nanoseconds between two events."""


@dataclass(slots=True)
class Held:
    """A claim, as its holder knows it."""

    job: int
    number: int
    attempt: int
    worker: str


@dataclass
class Play:
    """Moves jobs about, and tells all of it, but for what the killed did last."""

    events: list[Event] = field(default_factory=list)
    records: dict[int, Record] = field(default_factory=dict)
    held: dict[int, Held] = field(default_factory=dict)
    time: int = 0
    secret: bool = False
    """Whether what happens now is told to nobody, because its worker is about to be killed."""

    def history(self, *, at_rest: bool = False) -> History:
        return History(tuple(self.events), dict(self.records), at_rest)

    def enqueue(self, tag: str = "") -> int:
        id_ = len(self.records) + 1
        self.records[id_] = Record(id_, ("ready",), 0, MOST_ATTEMPTS, 0, claim=0, tag=tag)
        self.tell(What.ACKNOWLEDGED, id_, to="ready", tag=tag)
        return id_

    def roll_back(self, tag: str) -> None:
        self.tell(What.ROLLED_BACK, tag=tag)

    def claim(self, job: int, worker: str) -> Held:
        record = self.records[job]
        number = (record.claim or 0) + 1
        held = self.held[job] = Held(job, number, len(record.failed) + 1, worker)
        self.records[job] = replace(
            record, places=("running",), claim=number, attempt=len(record.failed)
        )
        self.tell(
            What.CLAIMED, job, number, held.attempt, worker, line=f"default/{job % 2}", due=job
        )
        return held

    def begin(self, held: Held) -> None:
        self.tell(What.BEGAN, held.job, 0, held.attempt, held.worker)

    def settle(self, held: Held, to: str) -> None:
        """Settle, or be refused where the claim is lost."""
        if self.held.get(held.job) != held:
            self.tell(What.REFUSED, held.job, held.number, held.attempt, held.worker, to)
            return
        self._end(held, to)
        self.tell(What.SETTLED, held.job, held.number, held.attempt, held.worker, to)

    def rescue(self, job: int) -> None:
        held = self.held[job]
        self._end(held, "rescue")
        self.tell(What.RESCUED, job, held.number, held.attempt, held.worker, "rescue")

    def kill(self, worker: str) -> None:
        self.tell(What.KILLED, worker=worker)

    def _end(self, held: Held, to: str) -> None:
        del self.held[held.job]
        record = self.records[held.job]
        failed = record.failed | ({held.number} if to in {"retry", "dead"} else set())
        ended = to in ENDS
        self.records[held.job] = replace(
            record,
            places=(to if ended else "ready",),
            attempt=len(failed) + (to in {"completed", "cancelled"}),
            failed=frozenset(failed),
            worker=held.worker if ended else "",
            crashes=record.crashes + (to == "rescue"),
        )

    def tell(
        self, what: What, job: int = 0, claim: int = 0, attempt: int = 0, worker: str = "",
        to: str = "", *, line: str = "", due: int = 0, tag: str = "",
    ) -> None:  # fmt: skip
        self.time += STEP
        if not self.secret:
            at, asked = self.time, self.time - STEP // 2
            self.events.append(
                Event(what, at, asked, job, claim, attempt, worker, to, line, due, tag)
            )
