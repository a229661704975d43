"""An explanation in plain words: what holds the job up first, then what there is to know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from shlex import quote
from typing import TYPE_CHECKING

from dibs.explain.figures import many, moment_of, rate_of, span, when
from dibs.explain.limits import limited, tenants_turn
from dibs.model.job import WAITING, DeadReason, State, range_in_words
from dibs.model.verdicts import Verdict

if TYPE_CHECKING:
    from dibs.explain.explanation import Candidate, Explanation

NAMED = 5
"""Workers that are named; others like them are counted."""
LONGEST = 200
"""Characters of an error or a reason that are shown."""
PATIENCE = timedelta(seconds=5)
"""A job that is about to start for longer than this is kept from it by what is not seen here."""


def told(this: Explanation) -> list[str]:
    """Return the explanation in plain words, a sentence or two each."""
    name = f"Job {this.job.id} ({this.job.kind}, queue {this.job.queue})"
    if this.job.state not in WAITING:
        return [f"{name} {_started(this)}"]
    return [f"{name} {_waits(this)}", *_past(this), *_verdict(this), *_standing(this)]


# --- What has started ----------------------------------------------------------------------


def _started(this: Explanation) -> str:
    began = f"worker {this.job.worker} started it {when(this.job.started_at, this.at)}"
    ended = when(this.job.finished_at, this.at)
    if this.job.state is State.COMPLETED:
        return f"has ended: worker {this.job.worker} completed it {ended}."
    if this.job.state is State.CANCELLED:
        who = (
            f"its handler, on worker {this.job.worker}, called it off"
            if this.job.worker
            else ("it was called off before it started,")
        )
        return f"has ended: {who} {ended}{_because(this.job.reason)}."
    if this.job.state is State.DEAD:
        return (
            f"is dead: it was buried {ended}, because {_dead(this)}. "
            f"Its last error{_because(this.job.error) or ' was not recorded'}."
        )
    attempt = f"is running: {began}, attempt {this.job.attempt} of {this.job.max_attempts}."
    if this.verdict is not Verdict.WORKER_LOST:
        return attempt
    rescue = (
        "a live worker takes the job back within seconds."
        if this.candidates
        else "only a live worker takes the job back, and none is alive: start one."
    )
    return f"{attempt} But that worker's lease has run out, as if it had died; {rescue}"


def _dead(this: Explanation) -> str:
    failed = f"it failed {many(this.job.attempt, 'time')} of {this.job.max_attempts}"
    words = {
        DeadReason.ATTEMPTS_EXHAUSTED: failed,
        DeadReason.GAVE_UP: "its handler raised an error after which it is not tried again",
        DeadReason.INVALID_ARGS: "its args don't fit its handler",
        DeadReason.WORKER_DIED: (
            f"its workers died while they ran it, {many(this.job.crashes, 'time')}"
        ),
        DeadReason.TIMEOUT: f"{failed}, and the last time it took too long",
        DeadReason.UPSTREAM_FAILED: "a job that it depends on failed",
    }
    return words[DeadReason(this.job.reason or "")]


# --- What waits ----------------------------------------------------------------------------


def _waits(this: Explanation) -> str:
    moment = moment_of(this.job.scheduled_at)
    if this.waited is None:
        return f"is scheduled: it may start in {span(this.due_in)}, at {moment}."
    since = f"for {span(this.waited)}, since {moment}"
    if this.job.state is State.SCHEDULED:
        return f"is scheduled, and has been due {since}."
    if this.job.state is State.BLOCKED and not _unknown(this):
        return f"is blocked ({this.job.reason}): it has been waiting for its turn {since}."
    if this.job.state is State.BLOCKED:
        return (
            f"is blocked ({this.job.reason}): a worker that took it from its line did not know its "
            f"kind, or its kind was paused. It could have started {since}."
        )
    return f"is ready: it has been waiting for a worker {since}."


def _unknown(this: Explanation) -> bool:
    """Return whether it waits for somebody who knows its kind."""
    return (this.job.reason or "").startswith("kind:")


def _past(this: Explanation) -> Iterator[str]:
    if this.job.attempt:
        last = f"; the last error{_because(this.job.error)}" if this.job.error else ""
        yield f"It has failed {many(this.job.attempt, 'time')} of {this.job.max_attempts}{last}."


def _verdict(this: Explanation) -> Iterator[str]:
    if this.verdict is Verdict.NOT_DUE:
        if this.obstacle is not None:
            yield f"As things are, nobody would start it then. {_obstacle(this, this.obstacle)}"
    elif this.verdict in {Verdict.LIMITED, Verdict.QUEUE_FULL} and this.limit is not None:
        yield from limited(this.limit, this.at)
    elif this.tenant is not None and this.verdict is Verdict.TENANTS_TURN:
        yield from tenants_turn(this.tenant)
    elif this.verdict is Verdict.MOVING:
        step = (
            "makes it ready"
            if this.job.state is State.SCHEDULED
            else "knows its kind and lets it in"
            if _unknown(this)
            else "lets it in"
        )
        yield f"A live worker {step} within about a second."
    elif this.verdict is Verdict.ABOUT_TO_START:
        yield "A slot is free for it: it is about to start."
        if this.waited is not None and this.waited > PATIENCE:
            yield "If it still waits, the worker with the free slot hangs."
    elif this.obstacle is not None:
        yield _obstacle(this, this.obstacle)


def _obstacle(this: Explanation, obstacle: Verdict) -> str:
    start = f"dibs --app module:attribute worker --queue {quote(this.job.queue)}"
    if this.pause is not None:
        what, name = (
            ("queues", this.job.queue)
            if obstacle is Verdict.QUEUE_PAUSED
            else ("kinds", this.job.kind)
        )
        return (
            f"{what[:-1].capitalize()} {name} has been paused {_line(str(this.pause))}. "
            f"Resume it: dibs {what} resume {quote(name)}"
        )
    alive = many(len(this.candidates), "worker")
    alive += " is alive" if len(this.candidates) == 1 else " are alive"
    if obstacle is Verdict.NO_WORKERS:
        does = "makes it ready" if this.job.state is State.SCHEDULED else "starts it"
        return f"No worker is alive, so nobody {does}. Start one: {start}"
    if obstacle is Verdict.QUEUE_UNSERVED:
        return f"{alive}, but none serves queue {this.job.queue}. Start one that does: {start}"
    if obstacle is Verdict.KIND_UNKNOWN:
        return (
            f"{alive}, but none that serves queue {this.job.queue} knows the kind {this.job.kind}. "
            f"Start one whose app declares it: {start}"
        )
    return (
        f"{alive}, but none that could run it takes priority {this.job.priority}; aging does not "
        "change that. Start one that does, or change the priority: "
        f"dibs jobs reprioritize {this.job.id} --priority P"
    )


# --- What there is to know -----------------------------------------------------------------


def _standing(this: Explanation) -> Iterator[str]:
    if this.job.effective_priority != this.job.priority:
        yield (
            f"Its priority is {this.job.priority}; having waited so long, it counts as "
            f"{this.job.effective_priority}."
        )
    else:
        yield f"Its priority is {this.job.priority}."
    if this.ahead is not None and this.obstacle is None:
        yield _ahead(this, this.ahead)
        yield from _pace(this)
    if this.obstacle is None:
        yield from _able(this)
    for obstacle in (Verdict.KIND_UNKNOWN, Verdict.PRIORITY_OUT_OF_RANGE):
        kept = [one for one in this.candidates if one.obstacle is obstacle]
        yield from (_kept(one) for one in kept[:NAMED])
        if len(kept) > NAMED:
            yield f"So it is with {many(len(kept) - NAMED, 'more worker')}."


def _ahead(this: Explanation, ahead: int) -> str:
    of = "of its queue" if this.share is None else "of its level"
    if this.ahead_more:
        said = f"More than {ahead:,} jobs {of} are ahead of it."
    elif not ahead:
        said = f"No job {of} is ahead of it."
    elif ahead == 1:
        which = "the same" if this.ahead_in_line else "another"
        said = f"1 job {of} is ahead of it, with {which} priority."
    else:
        own = f"{this.ahead_in_line:,}" if this.ahead_in_line else "none"
        own = "all" if this.ahead_in_line == ahead else own
        said = f"{ahead:,} jobs {of} are ahead of it, {own} with the same priority."
    if this.share is not None:
        said += f" By its queue's weights {this.share:.0%} of the turns are its level's."
    return said


def _pace(this: Explanation) -> Iterator[str]:
    pace = this.pace
    if pace is None:
        return
    if not pace.queue:
        yield f"No attempt of its queue ended in the last {span(pace.window)}."
    else:
        yield (
            f"Over the last {span(pace.window)} attempts of its queue ended at "
            f"{rate_of(pace.queue)}, those with its priority at {rate_of(pace.line)}."
        )
    if this.verdict is not Verdict.IN_LINE:
        return
    if this.starts_in is None:
        yield "So nobody can tell when it will start."
    else:
        least = "more than " if this.ahead_more else ""
        yield (
            f"So it starts in {least}about {span(this.starts_in)}; more urgent jobs that come in "
            "until then go first."
        )


def _able(this: Explanation) -> Iterator[str]:
    able = [one for one in this.candidates if one.obstacle is None]
    slots = many(sum(one.worker.concurrency for one in able), "slot")
    free, kept = sum(one.free for one in able), sum(one.kept for one in able)
    urgent = f" and {kept:,} kept for more urgent jobs" if kept else ""
    yield (
        f"{len(able):,} of {many(len(this.candidates), 'live worker')} can run it, with {free:,} "
        f"of {slots} free{urgent}: {_names(able, this.at)}."
    )
    others = sorted({queue for one in able for queue in one.worker.queues} - {this.job.queue})
    if others:
        what = f"queue {others[0]}" if len(others) == 1 else f"queues {', '.join(others)}"
        yield f"Some of them serve {what} too, whose jobs are not counted here."


def _names(able: Sequence[Candidate], at: datetime) -> str:
    named = [
        f"{one.worker.id} (heartbeat {span(at - one.worker.beat_at)} ago)" for one in able[:NAMED]
    ]
    rest = len(able) - len(named)
    return ", ".join(named) + (f" and {rest:,} more" if rest else "")


def _kept(one: Candidate) -> str:
    if one.obstacle is Verdict.KIND_UNKNOWN:
        return f"Worker {one.worker.id} serves its queue, but does not know its kind."
    taken = range_in_words(one.worker.lowest, one.worker.highest)
    return f"Worker {one.worker.id} serves its queue, but takes priorities {taken} only."


def _because(text: str | None) -> str:
    return f": {_line(text)}" if text and text.strip() else ""


def _line(text: str) -> str:
    """Return a text in one line that is not too long, to be followed by a full stop."""
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= LONGEST else line[:LONGEST] + "…"
