"""What random histories are made of: jobs, workers and what they serve, policies, outcomes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from dibs.model.aging import Aging
from dibs.model.job import DeadReason, NewJob
from dibs.model.lifecycle import CalledOff, Failed, Interrupted, Outcome, Returned, Snoozed
from dibs.model.lines import Demand, Serving
from dibs.model.queues import QueuePolicy
from dibs.model.times import SECOND
from tests.model_based.oracle import RETRY_BASE

LEASE = 30 * SECOND
SLOTS, RESERVE = 3, {10: 1, 20: 1}

QUEUES, KNOWN, KINDS = ["mail", "web"], ["send", "crop"], ["send", "crop", "alien"]
workers = st.sampled_from(["ann", "bob"])
queues = st.sampled_from(QUEUES)
kinds = st.sampled_from([KNOWN, KNOWN, KNOWN * 2, KNOWN[:1], KINDS, ["never used"]])
priorities = st.sampled_from([-32768, 0, 0, 5, 20, 32767])
backs = st.integers(-1, 9)
"""How far back from the last job; before the first, and after the last, there is none."""
spans = st.sampled_from([0, 1, SECOND, RETRY_BASE, LEASE])
moments = st.tuples(st.sampled_from([None, -RETRY_BASE, 0, LEASE]), spans)
"""Another time for a job: from now, or, where that is None, a delay."""
pauses = st.sampled_from([None, 0, SECOND, LEASE])
"""How long something is paused."""
news = st.builds(
    NewJob,
    kind=st.sampled_from(KINDS),
    args=st.sampled_from(["{}", '{"a":"é\\u0000\'%s"}']),
    queue=queues,
    priority=priorities,
    max_attempts=st.integers(1, 3),
    delay=st.sampled_from([0, 0, 0, 1, RETRY_BASE]),
    scheduled_at=st.sampled_from([None, None, None, -RETRY_BASE, 0, LEASE]),
)
"""Jobs whose scheduled_at is still counted from now."""

weights = st.integers(1, 5)
policies = st.builds(
    QueuePolicy,
    aging=st.none()
    | st.builds(
        Aging,
        after=st.sampled_from([0, 1e-6, 10, 30]),
        every=st.sampled_from([10, 30]),
        step=st.sampled_from([1, 5, 40_000]),
        ceiling=st.sampled_from([0, 10, 20, 32767]),
    ),
    weights=st.sampled_from([{}, {20: 2, 0: 1}, {0: 3}, {6: 1, 5: 1, -5: 1, -20: 5}]),
)
servings = st.builds(
    lambda names, weights, lowest, highest: Serving(
        tuple(names), dict(zip(names, weights, strict=False)), lowest, highest
    ),
    st.sampled_from([QUEUES, QUEUES, QUEUES, QUEUES[::-1], ["mail"], ["web", "mail", "never"]]),
    st.just(()) | st.tuples(weights, weights, weights),
    st.sampled_from([-32768, -32768, 0, 1, 20]),
    st.sampled_from([32767, 32767, 32767, 19, 0]),
)
demands = st.builds(
    Demand,
    st.sampled_from([1, 2, 3, 4, 12]),
    st.just({}) | st.dictionaries(st.sampled_from([5, 20, 0]), st.integers(0, 3), max_size=2),
)

BOOM = Failed("ValueError", "boom 'é' %s", "line 1\nline 2")
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Returned, st.sampled_from([None, "null", '{"a": [1, "é"]}'])),
    st.just(BOOM),
    st.just(BOOM),
    st.just(Failed("ValidationError", "", final=DeadReason.INVALID_ARGS)),
    st.builds(replace, st.just(BOOM), retry_after=spans),
    st.just(replace(BOOM, timed_out=True)),
    st.builds(Snoozed, spans),
    st.just(Interrupted()),
    st.just(Interrupted(began=True)),
    st.builds(CalledOff, st.sampled_from([None, "sold out"])),
)
