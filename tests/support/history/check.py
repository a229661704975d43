"""The checker: which promises a history breaks, in clear sentences.

A worker that is killed tells nothing of its last commit, so what is missing from the log counts
only where nobody could have fallen silent; there the database's last word decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tests.support.history.events import ENDS, Event, History, Record, Rule, Violation, What
from tests.support.history.order import passed_over
from tests.support.history.told import Job, Term, Told


def check(history: History) -> list[Violation]:
    """Return what breaks a rule; nothing, if all promises were kept."""
    told = Told(history)
    found = list(_ghosts(told, history))
    for id_ in sorted(told.jobs.keys() | history.records.keys()):
        job, record = told.job(id_), history.records.get(id_)
        found += _claims(job, told)
        found += _effects(job)
        found += _missing(job) if record is None else _last_word(job, record, told, history)
    return found + list(passed_over(told))


# --- Enqueues ----------------------------------------------------------------------------------


def _ghosts(told: Told, history: History) -> Iterator[Violation]:
    for record in history.records.values():
        if record.tag in told.rolled_back:
            yield Violation(
                Rule.GHOST, record.job,
                f"exists, although the transaction that enqueued it ({record.tag}) was rolled back",
            )  # fmt: skip


def _missing(job: Job) -> Iterator[Violation]:
    if job.acknowledged:
        yield Violation(Rule.LOST, job.id, "was acknowledged, and the database doesn't know it")
    else:
        yield Violation(Rule.GHOST, job.id, "was worked on, and the database doesn't know it")


# --- Claims ------------------------------------------------------------------------------------


def _claims(job: Job, told: Told) -> Iterator[Violation]:
    terms = job.in_turn()
    for term in terms:
        yield from _term(job, term, told)
    for before, after in pairwise(terms):
        yield from _succession(job, before, after, told)
    if terms and terms[0].number > 1 and not told.may_have_claimed():
        yield _unheard(job, 1)


def _term(job: Job, term: Term, told: Told) -> Iterator[Violation]:
    holders = {claimed.worker for claimed in term.claimed}
    if len(term.claimed) > 1:
        yield Violation(
            Rule.OVERLAP, job.id, f"was given to {_list(holders)} under one claim, {term.number}"
        )
    for end in term.ends:
        if holders and end.worker not in holders:
            yield Violation(
                Rule.OVERLAP, job.id,
                f"was {_end(end)}, but {_list(holders)} held claim {term.number}",
            )  # fmt: skip
        if end.what is What.RESCUED and not told.may_lose(end.worker):
            yield Violation(
                Rule.OVERLAP, job.id,
                f"was taken from {end.worker} under claim {term.number}, and that kept its lease",
            )  # fmt: skip
    if len(term.ends) > 1:
        rule = Rule.AFTER_END if term.final else Rule.OVERLAP
        ends = " and ".join(map(_end, term.ends))
        yield Violation(rule, job.id, f"left claim {term.number} more than once: {ends}")
    if term.refused and not term.ends and not told.may_have_ended(term):
        yield Violation(
            Rule.OVERLAP, job.id,
            f"was not let go: {term.holder} still held claim {term.number} and was refused",
        )  # fmt: skip


def _succession(job: Job, before: Term, after: Term, told: Told) -> Iterator[Violation]:
    """The later claim must not be valid before the earlier one was given up."""
    if after.number > before.number + 1 and not told.may_have_claimed():
        yield _unheard(job, before.number + 1)
    if before.final:
        yield Violation(
            Rule.AFTER_END, job.id,
            f"was claimed again (claim {after.number}) after it was {_end(before.ends[0])}",
        )  # fmt: skip
    elif not before.ends and not told.may_have_ended(before) and before.claimed:
        yield Violation(
            Rule.OVERLAP, job.id,
            f"was claimed by {after.holder} (claim {after.number}) while {before.holder} held it "
            f"(claim {before.number})",
        )  # fmt: skip
    for claimed in after.claimed:
        for end in before.ends:
            if claimed.at < end.asked:
                yield Violation(
                    Rule.OVERLAP, job.id,
                    f"had claim {after.number} before anybody asked to end claim {before.number}",
                )  # fmt: skip


def _unheard(job: Job, number: int) -> Violation:
    return Violation(Rule.OVERLAP, job.id, f"skipped claim {number}: nobody told of it")


# --- Effects -----------------------------------------------------------------------------------


def _effects(job: Job) -> Iterator[Violation]:
    for stray in job.stray:
        yield Violation(
            Rule.REPEATED, job.id, f"ran at {stray.worker}, which had not claimed it then"
        )
    for term in job.in_turn():
        if len(term.began) > 1:
            yield Violation(
                Rule.REPEATED, job.id, f"ran {len(term.began)} times under claim {term.number}"
            )
        for end in term.ends:
            if end.what is What.SETTLED and any(began.at > end.at for began in term.began):
                yield Violation(
                    Rule.REPEATED, job.id,
                    f"ran under claim {term.number} when that had been given up: {_end(end)}",
                )  # fmt: skip
            if end.to == "completed" and not term.began:
                yield Violation(
                    Rule.LOST, job.id, f"was completed under claim {term.number} without having run"
                )


# --- The database's last word ------------------------------------------------------------------


def _last_word(job: Job, record: Record, told: Told, history: History) -> Iterator[Violation]:
    if len(record.places) != 1:
        yield Violation(Rule.PLACE, job.id, f"stands in {_list(record.places) or 'no place'}")
        return
    if history.at_rest and not record.ended:
        yield Violation(Rule.UNENDED, job.id, f"never ended: it is {record.places[0]}")
    ends = [end for term in job.terms.values() for end in term.ends if end.to in ENDS]
    if ends and ends[0].to != record.places[0]:
        yield Violation(
            Rule.AFTER_END, job.id,
            f"was {_end(ends[0])}, but the database says {record.places[0]}",
        )  # fmt: skip
    elif not ends and record.ended and record.worker and not _may_be_silent(job, record, told):
        yield Violation(
            Rule.AFTER_END, job.id,
            f"is {record.places[0]} by the database's word, but {record.worker} never said so",
        )  # fmt: skip
    elif ends and record.worker not in {"", ends[0].worker}:
        yield Violation(
            Rule.OVERLAP, job.id,
            f"was {_end(ends[0])}, but the database says that {record.worker} ended it",
        )  # fmt: skip
    last = max(job.terms, default=0)
    if record.claim is not None and record.claim < last and not record.ended:
        yield Violation(
            Rule.OVERLAP, job.id, f"went back from claim {last} to claim {record.claim}"
        )
    yield from _counts(job, record, told)


def _may_be_silent(job: Job, record: Record, told: Told) -> bool:
    """Return whether the end of a job that ended may be missing from the log."""
    terms = job.in_turn()
    return told.may_have_claimed() or bool(terms and told.may_have_ended(terms[-1]))


def _counts(job: Job, record: Record, told: Told) -> Iterator[Violation]:
    def wrong(text: str) -> Violation:
        return Violation(Rule.ATTEMPTS, job.id, text)

    for term in job.in_turn():
        failed = sum(number < term.number for number in record.failed)
        for claimed in term.claimed:
            if claimed.attempt != failed + 1:
                yield wrong(
                    f"began attempt {claimed.attempt} with claim {term.number}, after {failed} "
                    "failed attempts"
                )
        if any(end.to == "retry" for end in term.ends) and term.number not in record.failed:
            yield wrong(f"failed under claim {term.number}, and no attempt tells of it")
    if len(record.failed) > record.max_attempts:
        yield wrong(f"failed {len(record.failed)} times, of {record.max_attempts} at most")
    ran = record.places[0] in {"completed", "cancelled"} and record.worker
    expected = len(record.failed) + (1 if ran else 0)
    if record.attempt != expected:
        yield wrong(
            f"counts {record.attempt} attempts where {len(record.failed)} failed and it is "
            f"{record.places[0]}"
        )
    ends = [end for term in job.terms.values() for end in term.ends]
    rescues = sum(end.what is What.RESCUED and end.to != "cancelled" for end in ends)
    silent = sum(not term.ends and told.may_have_ended(term) for term in job.terms.values())
    most = float("inf") if told.may_have_claimed() else rescues + silent
    if not rescues <= record.crashes <= most:
        yield wrong(f"counts {record.crashes} crashes, and was rescued {rescues} times")


# --- Words -------------------------------------------------------------------------------------


def _end(event: Event) -> str:
    if event.what is What.RESCUED:
        return f"rescued from {event.worker} ({event.to})"
    return f"settled by {event.worker} ({event.to})"


def _list(names: set[str] | tuple[str, ...]) -> str:
    return " and ".join(sorted(names))
