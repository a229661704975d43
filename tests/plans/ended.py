"""The statements for what has ended: dead letters, and what is pruned."""

from __future__ import annotations

from dibs.model.dead import DeadFilter
from dibs.store import Store
from dibs.store.ops.dead import BEGIN, dead_find, dead_list, dead_purge, dead_replay, dead_review
from dibs.store.ops.prune import history_drop
from dibs.store.statement import Operation, Row, Statement, Steps

COUNT = 100
"""Jobs per statement."""
LATELY = 1_000_000
"""A minute after all that the backlog's counters tell of, and long ago."""
FAR = 4_000_000_000_000_000
"""A moment in the year 2096, in microseconds."""
BEHIND = 400
"""A moment at which so many jobs of queue web had been enqueued."""


def dead_letters(store: Store) -> dict[str, Statement]:
    """Return the statements for dead letters; those that change some are for the oldest ones."""
    find = first(dead_find(DeadFilter(), BEGIN, FAR))
    find = Statement("dead_find", {**find.params, "count": COUNT})
    ids = [row[1] for row in rows_of(store, find)]
    return {
        "dead_page": first(dead_list(DeadFilter(), COUNT)),
        "dead_find": find,
        "dead_notes": Statement("dead_notes", {"ids": ids}),
        "dead_review": first(dead_review(ids, FAR, reviewed=True, author=None, note="seen")),
        "dead_replay": first(dead_replay(ids, FAR, gap=1)),
        "dead_holders": Statement("dead_holders", {"ids": ids, "until": FAR}),
        "dead_purge": first(dead_purge(ids, FAR)),
    }


def pruning(store: Store) -> dict[str, Statement]:
    """Return the statements that look for what is over, and remove it."""
    line = {"queue": "mail", "state": "completed"}
    bound = {"after": BEHIND, "until": FAR, "last": 0, "count": COUNT}
    find = Statement("history_find", line | bound)
    ids = [row[0] for row in rows_of(store, find)]
    return {
        "history_oldest": Statement("history_oldest", {}),
        "history_beyond": Statement("history_beyond", line | {"keep": COUNT - 2}),
        "history_find": find,
        "history_drop": first(history_drop(ids)),
        "dead_crowd": Statement("dead_crowd", {"queue": "mail", "keep": 10, "count": COUNT - 10}),
        "counters_sum": Statement("counters_sum", {"before": LATELY, "count": COUNT}),
        "traces_find": Statement("traces_find", {"after": 0, "count": COUNT}),
        "prune_over": Statement("prune_over", {"before": LATELY}),
    }


def first(operation: Operation[object]) -> Statement:
    """Return the first statement of an operation."""
    return next(operation.steps())


def rows_of(store: Store, statement: Statement) -> list[Row]:
    """Return what a single statement brings."""

    def steps() -> Steps[list[Row]]:
        return (yield statement)

    return store.run(Operation("look", steps))
