"""The lab's judge finds every kind of violation that is planted in a sound history, and only it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.history.check import check
from tests.support.history.events import Record, Rule, What
from tests.support.history.play import MOST_ATTEMPTS, STEP, Play

SECOND = 1_000_000_000
COMPLETED, RETRIED, LOST, WAITING, LINED = 1, 2, 3, 4, 7
"""Jobs of the sound history below, by what became of them."""


def sound() -> Play:
    """Play a bit of everything."""
    play = Play()
    for _ in range(LINED + 2):
        play.enqueue()
    play.enqueue("kept")
    play.roll_back("undone")

    held = play.claim(COMPLETED, "A")
    play.begin(held)
    play.settle(held, "completed")

    for worker, to in (("A", "retry"), ("B", "snooze"), ("A", "retry"), ("B", "dead")):
        held = play.claim(RETRIED, worker)
        play.begin(held)
        play.settle(held, to)

    late = play.claim(LOST, "dead")
    play.begin(late)
    play.kill("dead")
    play.rescue(LOST)
    held = play.claim(LOST, "B")
    play.begin(held)
    play.settle(held, "completed")
    play.settle(late, "completed")  # refused

    play.time += 2 * SECOND
    for job in (LINED, LINED + 2):  # of one line
        held = play.claim(job, "A")
        play.begin(held)
        play.settle(held, "completed")
    return play


def test_a_sound_history_is_sound():
    assert check(sound().history()) == []


# --- Plants ------------------------------------------------------------------------------------

PLANTS: list[tuple[Rule, int, Callable[[Play], None]]] = []
Plant = Callable[[Play], None]


def plants(rule: Rule, job: int) -> Callable[[Plant], Plant]:
    """Add what spoils a sound history: which rule that breaks, and for which job."""

    def add(plant: Plant) -> Plant:
        PLANTS.append((rule, job, plant))
        return plant

    return add


def the(play: Play, what: What, job: int, claim: int = 1) -> int:
    """Return the place of an event in the log."""
    (place,) = [
        n for n, e in enumerate(play.events) if (e.what, e.job, e.claim) == (what, job, claim)
    ]
    return place


def change(play: Play, place: int, **fields: object) -> None:
    play.events[place] = play.events[place]._replace(**fields)  # type: ignore[arg-type]


@plants(Rule.PLACE, WAITING)
def two_places(play: Play) -> None:
    play.records[WAITING] = replace(play.records[WAITING], places=("ready", "running"))


@plants(Rule.PLACE, WAITING)
def no_place(play: Play) -> None:
    play.records[WAITING] = replace(play.records[WAITING], places=())


@plants(Rule.PLACE, COMPLETED)
def ended_and_alive(play: Play) -> None:
    play.records[COMPLETED] = replace(play.records[COMPLETED], places=("completed", "ready"))


@plants(Rule.LOST, WAITING)
def acknowledged_and_gone(play: Play) -> None:
    del play.records[WAITING]


@plants(Rule.LOST, COMPLETED)
def completed_without_a_run(play: Play) -> None:
    play.events = [e for e in play.events if (e.what, e.job) != (What.BEGAN, COMPLETED)]


@plants(Rule.GHOST, 99)
def rolled_back_and_there(play: Play) -> None:
    play.records[99] = Record(99, ("ready",), 0, MOST_ATTEMPTS, 0, tag="undone")


@plants(Rule.GHOST, 99)
def worked_on_and_unknown(play: Play) -> None:
    play.tell(What.CLAIMED, 99, 1, 1, "A")


@plants(Rule.OVERLAP, COMPLETED)
def two_holders_of_one_claim(play: Play) -> None:
    play.tell(What.CLAIMED, COMPLETED, 1, 1, "B")


@plants(Rule.OVERLAP, RETRIED)
def claimed_while_held(play: Play) -> None:
    # A snooze, so that nothing else tells of it.
    del play.events[the(play, What.SETTLED, RETRIED, 2)]


@plants(Rule.OVERLAP, RETRIED)
def claimed_before_the_end_was_asked_for(play: Play) -> None:
    settled = play.events[the(play, What.SETTLED, RETRIED, 2)]
    early = settled.asked - 1
    change(play, the(play, What.CLAIMED, RETRIED, 3), at=early, asked=early - 1)


@plants(Rule.OVERLAP, COMPLETED)
def settled_by_a_stranger(play: Play) -> None:
    change(play, the(play, What.SETTLED, COMPLETED), worker="B")
    play.records[COMPLETED] = replace(play.records[COMPLETED], worker="B")


@plants(Rule.OVERLAP, COMPLETED)
def ended_by_another_by_the_last_word(play: Play) -> None:
    play.records[COMPLETED] = replace(play.records[COMPLETED], worker="B")


@plants(Rule.OVERLAP, LOST)
def rescued_from_the_living(play: Play) -> None:
    play.events = [e for e in play.events if e.what is not What.KILLED]


@plants(Rule.OVERLAP, RETRIED)
def retried_twice_under_one_claim(play: Play) -> None:
    play.events.append(play.events[the(play, What.SETTLED, RETRIED, 2)])


@plants(Rule.OVERLAP, WAITING)
def refused_although_it_held(play: Play) -> None:
    held = play.claim(WAITING, "A")
    play.tell(What.REFUSED, WAITING, held.number, held.attempt, "A", "completed")


@plants(Rule.OVERLAP, WAITING)
def a_claim_number_fell(play: Play) -> None:
    held = play.claim(WAITING, "A")
    play.settle(held, "release")
    play.records[WAITING] = replace(play.records[WAITING], claim=0)


@plants(Rule.AFTER_END, COMPLETED)
def settled_after_the_end(play: Play) -> None:
    play.events.append(play.events[the(play, What.SETTLED, COMPLETED)])


@plants(Rule.AFTER_END, COMPLETED)
def rescued_after_the_end(play: Play) -> None:
    play.events = [
        e._replace(worker="dead") if (e.job, e.worker) == (COMPLETED, "A") else e
        for e in play.events
    ]
    # Its record tells of the rescue too, so that nothing but the end itself is wrong.
    play.records[COMPLETED] = replace(play.records[COMPLETED], worker="dead", crashes=1)
    play.tell(What.RESCUED, COMPLETED, 1, 1, "dead", "rescue")


@plants(Rule.AFTER_END, COMPLETED)
def claimed_after_the_end(play: Play) -> None:
    play.tell(What.CLAIMED, COMPLETED, 2, 1, "B")


@plants(Rule.AFTER_END, COMPLETED)
def an_end_that_was_undone(play: Play) -> None:
    undone = replace(play.records[COMPLETED], places=("ready",), attempt=0, worker="")
    play.records[COMPLETED] = undone


@plants(Rule.ATTEMPTS, COMPLETED)
def an_attempt_too_many_in_the_record(play: Play) -> None:
    play.records[COMPLETED] = replace(play.records[COMPLETED], attempt=2)


@plants(Rule.ATTEMPTS, RETRIED)
def a_claim_with_the_wrong_attempt(play: Play) -> None:
    play.events = [
        e._replace(attempt=1) if (e.job, e.attempt, e.worker) == (RETRIED, 2, "B") else e
        for e in play.events
    ]


@plants(Rule.ATTEMPTS, RETRIED)
def a_failure_that_left_no_record(play: Play) -> None:
    failed = play.records[RETRIED].failed - {1}
    play.records[RETRIED] = replace(play.records[RETRIED], failed=failed)


@plants(Rule.ATTEMPTS, RETRIED)
def failed_too_often(play: Play) -> None:
    play.records[RETRIED] = replace(play.records[RETRIED], max_attempts=MOST_ATTEMPTS - 1)


@plants(Rule.ATTEMPTS, LOST)
def a_crash_that_is_not_counted(play: Play) -> None:
    play.records[LOST] = replace(play.records[LOST], crashes=0)


@plants(Rule.ATTEMPTS, COMPLETED)
def a_crash_of_which_nobody_told(play: Play) -> None:
    play.events = [e for e in play.events if e.job == COMPLETED]
    play.records = {COMPLETED: replace(play.records[COMPLETED], crashes=1)}


@plants(Rule.OVERLAP, RETRIED)
def a_claim_of_which_nobody_told(play: Play) -> None:
    snoozed = {What.CLAIMED, What.SETTLED}
    play.events = [
        e for e in play.events if e.job == RETRIED and not (e.what in snoozed and e.claim == 2)
    ]
    play.events = [e for e in play.events if (e.what, e.worker) != (What.BEGAN, "B")]
    play.events = [e for e in play.events if e.claim != 4]
    play.records = {RETRIED: replace(play.records[RETRIED], worker="")}


@plants(Rule.ORDER, LINED)
def passed_over(play: Play) -> None:
    first, second = (play.events[the(play, What.CLAIMED, job)] for job in (LINED, LINED + 2))
    later = second.at + 100 * STEP
    play.events = [
        e._replace(at=e.at - first.asked + later, asked=e.asked - first.asked + later)
        if e.job == LINED and e.what is not What.ACKNOWLEDGED
        else e
        for e in play.events
    ]


@plants(Rule.REPEATED, COMPLETED)
def ran_twice_under_one_claim(play: Play) -> None:
    began = next(e for e in play.events if (e.what, e.job) == (What.BEGAN, COMPLETED))
    play.events.append(began._replace(at=began.at + 1))


@plants(Rule.REPEATED, RETRIED)
def ran_after_it_failed(play: Play) -> None:
    settled = play.events[the(play, What.SETTLED, RETRIED, 4)]
    (place,) = [
        n
        for n, e in enumerate(play.events)
        if (e.what, e.job, e.attempt, e.worker) == (What.BEGAN, RETRIED, 3, "B")
    ]
    change(play, place, at=settled.at + 1)


@plants(Rule.REPEATED, WAITING)
def ran_without_a_claim(play: Play) -> None:
    play.tell(What.BEGAN, WAITING, 0, 1, "A")


@pytest.mark.parametrize(("rule", "job", "plant"), PLANTS, ids=[p.__name__ for _, _, p in PLANTS])
def test_what_is_planted_is_found_and_nothing_else(rule: Rule, job: int, plant: Plant):
    play = sound()
    plant(play)
    found = check(play.history())
    said = [str(violation) for violation in found]
    assert {(violation.rule, violation.job) for violation in found} == {(rule, job)}, said


def test_a_job_that_never_ends_is_found():
    play = Play()
    job = play.enqueue()
    assert check(play.history(at_rest=False)) == []
    assert [(v.rule, v.job) for v in check(play.history(at_rest=True))] == [(Rule.UNENDED, job)]


def test_every_rule_has_a_plant():
    assert {rule for rule, _, _ in PLANTS} | {Rule.UNENDED} == set(Rule)
