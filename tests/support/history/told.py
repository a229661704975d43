"""A history put in order: what was told of each job, claim by claim, and what may be missing.

The order of lines says nothing: one worker may tell late what it settled, when the next has told
already what it claimed after that. Claims are ordered by their numbers, and times are only
compared where one operation was over before another was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.support.history.events import ENDS, Event, History, What


@dataclass(slots=True)
class Term:
    """What was told of one claim."""

    number: int
    claimed: list[Event] = field(default_factory=list)
    ends: list[Event] = field(default_factory=list)
    """Settlements that took effect, and rescues."""
    refused: list[Event] = field(default_factory=list)
    doubtful: list[Event] = field(default_factory=list)
    began: list[Event] = field(default_factory=list)

    @property
    def holder(self) -> str | None:
        """Who held it, if anybody told."""
        told = [*self.claimed, *self.ends, *self.refused, *self.doubtful]
        return told[0].worker if told else None

    @property
    def final(self) -> bool:
        """Whether it was told that the job ended under it."""
        return any(end.to in ENDS for end in self.ends)

    def given_up(self, at: int) -> bool:
        """Whether its holder had settled it before `at`."""
        return any(end.what is What.SETTLED and end.at < at for end in self.ends)


@dataclass(slots=True)
class Job:
    """What was told of one job."""

    id: int
    acknowledged: list[Event] = field(default_factory=list)
    terms: dict[int, Term] = field(default_factory=dict)
    stray: list[Event] = field(default_factory=list)
    """Handlers that began although their worker had told of no claim."""

    def term(self, number: int) -> Term:
        return self.terms.setdefault(number, Term(number))

    def in_turn(self) -> list[Term]:
        return [self.terms[number] for number in sorted(self.terms)]


class Told:
    """A history by jobs, and who may have fallen silent in it."""

    def __init__(self, history: History) -> None:
        self.jobs: dict[int, Job] = {}
        self.rolled_back: set[str] = set()
        self.killed: set[str] = set()
        self.cut: set[str] = set()
        self._doubts: set[str] = set()
        self.doubtful_claims: list[Event] = []
        """What they took, they may have kept locked until the database found out."""
        began = []
        for event in sorted(history.events, key=lambda event: event.at):
            match event.what:
                case What.ROLLED_BACK:
                    self.rolled_back.add(event.tag)
                case What.KILLED:
                    self.killed.add(event.worker)
                case What.CUT:
                    self.cut.add(event.worker)
                case What.BEGAN:
                    began.append(event)
                case What.DOUBTFUL if not event.job:
                    self._doubts.add(event.to)
                    if event.to == "job_claim":
                        self.doubtful_claims.append(event)
                case What.LEFT | What.FAULT | What.MENDED:
                    pass
                case _:
                    self._sort_in(event)
        for event in began:
            self._attribute(event)

    def job(self, id_: int) -> Job:
        return self.jobs.setdefault(id_, Job(id_))

    def _sort_in(self, event: Event) -> None:
        job = self.job(event.job)
        if event.what is What.ACKNOWLEDGED:
            job.acknowledged.append(event)
            return
        term = job.term(event.claim)
        {
            What.CLAIMED: term.claimed,
            What.SETTLED: term.ends,
            What.RESCUED: term.ends,
            What.REFUSED: term.refused,
            What.DOUBTFUL: term.doubtful,
        }[event.what].append(event)

    def _attribute(self, event: Event) -> None:
        """Find the claim under which a handler began: a worker tells of it before it runs it.

        A handler knows its worker and its attempt. Where the worker lost a claim and got the same
        job again, it may still begin under the claim that it lost.
        """
        job = self.job(event.job)
        mine = [
            term
            for term in reversed(job.in_turn())
            for claimed in term.claimed
            if (claimed.worker, claimed.attempt) == (event.worker, event.attempt)
            and claimed.at <= event.at
        ]
        free = [term for term in mine if not term.began and not term.given_up(event.at)]
        if mine:
            (free or mine)[0].began.append(event)
        else:
            job.stray.append(event)

    # --- What nobody told -------------------------------------------------------------------

    def may_lose(self, worker: str | None) -> bool:
        """Return whether a worker may have lost its claims."""
        return worker in self.killed or worker in self.cut or "" in self.cut

    def may_have_claimed(self) -> bool:
        """Return whether there may have been claims that nobody told of."""
        return bool(self.killed) or "job_claim" in self._doubts

    def may_have_ended(self, term: Term) -> bool:
        """Return whether a claim may have ended without a word: its holder died before it could
        tell, its settlement is in doubt, or it was rescued by somebody who did not tell.
        """
        if term.doubtful or term.holder in self.killed:
            return True
        rescuers = bool(self.killed) or "job_rescue" in self._doubts
        return self.may_lose(term.holder) and rescuers
