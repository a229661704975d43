"""What the doctor says of holders that take a second server, by facts as it would read them."""

from __future__ import annotations

import pytest

from dibs import Check, Finding, Level
from dibs.doctor.server import check_server
from dibs.store.ops.doctor import Facts, Holder

SETTINGS = {
    "autovacuum": "on", "track_counts": "on", "sees_all": "on", "size": "1", "connections": "1",
    "connections_most": "97",
}  # fmt: skip


def horizon(what: str, transactions: int) -> Finding:
    holder = Holder(what, "name", "who", "inactive", None, transactions)
    facts = Facts(0, 0, SETTINGS, [holder], [])
    [found] = [finding for finding in check_server(facts) if finding.code is Check.HORIZON]
    return found


@pytest.mark.parametrize(
    ("transactions", "level"),
    [(99_999, Level.OK), (100_000, Level.WARNING), (10_000_000, Level.PROBLEM)],
)
def test_what_has_no_age_is_judged_by_transactions(transactions: int, level: Level):
    assert horizon("slot", transactions).level is level


def test_a_slot_and_a_standby_have_advice_of_their_own():
    slot, standby = horizon("slot", 200_000), horizon("standby", 200_000)
    assert slot.message == (
        "the inactive replication slot 'name' has held back the clean-up of deleted rows for "
        "200,000 transactions"
    )
    assert "pg_drop_replication_slot('name')" in slot.advice
    assert standby.message.startswith("a query on standby 'who' has held back ")
    assert "hot_standby_feedback" in standby.advice
