"""How well a server is: who holds back its clean-up, what is left to clean, connections."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from dibs.doctor.files import in_bytes
from dibs.doctor.finding import Check, Finding, graded, ok, problem
from dibs.explain.figures import many, span
from dibs.model.times import SECOND
from dibs.store.ops.doctor import Facts, Holder

OLD, VERY_OLD = 60 * SECOND, 15 * 60 * SECOND
"""Age of a transaction from which it is told, and is a problem, in microseconds."""
FAR, VERY_FAR = 100_000, 10_000_000
"""The same for what has no age, in transactions."""
DEAD, VERY_DEAD = 100_000, 1_000_000
"""Dead rows of one table from which on they are told, and are a problem."""
DEAD_PER_LIVE = 2
"""Unless it has more live ones than that."""
USED, USED_UP = 0.8, 0.95
"""Share of the connections in use from which it is told, and is a problem."""
MOST = 10
"""Holders that are told, at most."""

_ADVICE = {
    "session": "end its transaction where it began, or by SELECT pg_terminate_backend({name}); "
    "keep transactions short, and set idle_in_transaction_session_timeout",
    "prepared": "end it: ROLLBACK PREPARED '{name}' (or COMMIT PREPARED)",
    "slot": "see that its consumer goes on; if nobody uses it any more, SELECT "
    "pg_drop_replication_slot('{name}')",
    "standby": "end the long query there, or turn hot_standby_feedback off",
}
_WHAT = {
    "session": "the transaction of process {name} ({who}, {state})",
    "prepared": "the prepared transaction {name!r} of {who}",
    "slot": "the {state} replication slot {name!r}",
    "standby": "a query on standby {who!r}",
}


def check_server(facts: Facts) -> Iterator[Finding]:
    """Say how the server is, by its own statistics."""
    yield from _horizon(facts)
    yield from _dead_rows(facts)
    yield from _autovacuum(facts)
    yield from _connections(facts)
    size = in_bytes(int(facts.settings["size"]))
    yield ok(
        Check.DISK,
        f"the database takes {size}; how much is left on the server's disk is not checked: the "
        "server does not tell",
    )


def _horizon(facts: Facts) -> Iterator[Finding]:
    old = [holder for holder in facts.holders if _exceeds(holder, OLD, FAR)]
    hidden = "" if facts.settings["sees_all"] == "on" else (
        "; transactions of other users are hidden: GRANT pg_read_all_stats to see them"
    )  # fmt: skip
    if not old:
        yield ok(Check.HORIZON, f"nobody holds back the clean-up of deleted rows{hidden}")
    for holder in old[:MOST]:
        fields = {"name": holder.name, "who": holder.who, "state": holder.state}
        since = (
            f"for {many(holder.transactions, 'transaction')}"
            if holder.age is None
            else f"for {span(timedelta(microseconds=holder.age))}"
        )
        yield graded(
            _exceeds(holder, VERY_OLD, VERY_FAR),
            Check.HORIZON,
            f"{_WHAT[holder.what].format(**fields)} has held back the clean-up of deleted rows "
            f"{since}{hidden}",
            _ADVICE[holder.what].format(**fields),
        )


def _exceeds(holder: Holder, age: int, transactions: int) -> bool:
    if holder.age is None:
        return holder.transactions >= transactions
    return holder.age >= age


def _dead_rows(facts: Facts) -> Iterator[Finding]:
    dirty = [
        table
        for table in facts.tables
        if table.dead >= DEAD and table.dead > table.live * DEAD_PER_LIVE
    ]
    if not dirty:
        most = max((table.dead for table in facts.tables), default=0)
        yield ok(Check.DEAD_ROWS, f"at most {many(most, 'dead row')} in a table")
    for table in dirty:
        yield graded(
            table.dead >= VERY_DEAD,
            Check.DEAD_ROWS,
            f"{table.name} has {many(table.dead, 'dead row')} beside {table.live:,} live ones",
            f"end what holds back the clean-up (horizon), then VACUUM {table.name}",
        )


def _autovacuum(facts: Facts) -> Iterator[Finding]:
    off = [name for name in ("autovacuum", "track_counts") if facts.settings[name] != "on"]
    tables = [table.name for table in facts.tables if not table.autovacuum]
    if off:
        yield problem(
            Check.AUTOVACUUM,
            f"{' and '.join(off)} is off: deleted rows stay, and the queue gets slower and slower",
            f"ALTER SYSTEM SET {off[0]} = on, and SELECT pg_reload_conf()",
        )
    for table in tables:
        yield problem(
            Check.AUTOVACUUM, f"autovacuum is off for {table}: its deleted rows stay",
            f"ALTER TABLE {table} RESET (autovacuum_enabled)",
        )  # fmt: skip
    if not off and not tables:
        yield ok(Check.AUTOVACUUM, "autovacuum is on")


def _connections(facts: Facts) -> Iterator[Finding]:
    used, most = (int(facts.settings[name]) for name in ("connections", "connections_most"))
    message = f"{used} of {most} connections are in use"
    if used < most * USED:
        yield ok(Check.CONNECTIONS, message)
        return
    yield graded(
        used >= most * USED_UP, Check.CONNECTIONS, message,
        "a worker process needs up to seven: run fewer of them, use a pooler such as PgBouncer, or "
        "raise max_connections",
    )  # fmt: skip
