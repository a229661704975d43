"""Slots: reserved ones are for the urgent alone, whatever is running and whatever is held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from dibs.model.job import PRIORITY_MIN
from dibs.model.slots import Slots

PRIORITIES = st.sampled_from([-5, 0, 9, 10, 15, 20, 30])
reserves = st.dictionaries(st.sampled_from([0, 10, 20]), st.integers(1, 3), max_size=3)


def room(count: int, reserve: Mapping[int, int], running: list[int], priority: int) -> bool:
    """Return whether one more may run: no limit above it is reached by those below that limit."""
    if len(running) >= count:
        return False
    for limit in reserve:
        kept = sum(slots for other, slots in reserve.items() if other >= limit)
        if priority < limit and sum(p < limit for p in running) >= count - kept:
            return False
    return True


def test_without_a_reserve_every_slot_takes_everything():
    slots = Slots(3, {})
    slots.take(0)
    demand = slots.demand(2, 0, [])
    assert (slots.free, slots.lowest) == (2, PRIORITY_MIN)
    assert (demand.count, demand.below, demand.lowest) == (2, {}, PRIORITY_MIN)


def test_two_of_ten_are_kept_for_the_urgent():
    slots = Slots(10, {10: 2})
    assert slots.demand(10, 0, []).below == {10: 8}
    for _ in range(8):
        slots.take(0)
    assert (slots.free, slots.lowest) == (2, 10)
    assert slots.demand(2, 0, []).lowest == 10
    slots.leave(0)
    assert (slots.free, slots.lowest) == (3, PRIORITY_MIN)


def test_the_urgent_may_use_every_slot_and_leave_the_others_fewer():
    slots = Slots(10, {10: 2})
    for _ in range(5):
        slots.take(10)
    demand = slots.demand(5, 0, [])
    assert demand.below == {10: 8}  # five are free, so the reserve does not count yet
    for _ in range(5):
        slots.take(0)
    assert slots.free == 0


def test_reserves_of_several_limits_add_up():
    slots = Slots(10, {20: 1, 10: 2})
    assert slots.demand(10, 0, []).below == {20: 9, 10: 7}
    for _ in range(7):
        slots.take(0)
    assert slots.lowest == 10
    for _ in range(2):
        slots.take(15)
    assert (slots.free, slots.lowest) == (1, 20)


def test_what_is_held_counts_against_the_room_beyond_the_slots():
    slots = Slots(4, {10: 1})
    slots.take(0)
    demand = slots.demand(count=9, ahead=6, held=[0, 0, 20])
    assert (demand.count, demand.below) == (9, {10: 3 + 6 - 1 - 2})


@st.composite
def shops(draw: st.DrawFn) -> tuple[int, dict[int, int]]:
    """Draw a number of slots and a reserve that leaves at least one of them for all."""
    reserve = draw(reserves)
    return sum(reserve.values()) + draw(st.integers(1, 6)), reserve


@given(shops(), st.lists(st.tuples(st.booleans(), PRIORITIES, st.integers(0, 20)), max_size=60))
def test_whatever_ran_before_a_free_slot_takes_what_the_reserve_leaves_it(
    shop: tuple[int, dict[int, int]], history: list[tuple[bool, int, int]]
):
    """Jobs start where the slots and the demand let them in, and end in any order."""
    count, reserve = shop
    slots, running = Slots(count, reserve), list[int]()
    for starts, priority, pick in history:
        allowed = room(count, reserve, running, priority)
        demand = slots.demand(slots.free, 0, [])
        assert allowed == (demand.count > 0 and priority >= demand.lowest)
        assert allowed == (slots.free > 0 and priority >= slots.lowest)
        assert allowed == (slots.room(priority) > 0)
        if starts and allowed:
            slots.take(priority)
            running.append(priority)
        elif running:
            slots.leave(running.pop(pick % len(running)))
        assert slots.free == count - len(running)


@given(
    shops(),
    st.lists(PRIORITIES, max_size=12),
    st.lists(PRIORITIES, max_size=12),
    st.integers(0, 8),
)
def test_rooms_are_what_is_left_below_each_limit(
    shop: tuple[int, dict[int, int]], running: list[int], held: list[int], ahead: int
):
    count, reserve = shop
    slots = Slots(count, reserve)
    for priority in running:
        slots.take(priority)
    rooms = slots.demand(5, ahead, held).below
    assert set(rooms) == set(reserve)
    for limit, left in rooms.items():
        kept = sum(slots for other, slots in reserve.items() if other >= limit)
        used, waiting = (sum(p < limit for p in some) for some in (running, held))
        assert left == count - kept - used + max(0, ahead - waiting)


@given(shops(), st.lists(PRIORITIES, max_size=15), PRIORITIES)
def test_of_what_a_worker_holds_as_many_run_as_fit(
    shop: tuple[int, dict[int, int]], held: list[int], priority: int
):
    count, reserve = shop
    slots = Slots(count, reserve)
    slots.hold(Counter(held))
    running = list[int]()
    for one in sorted(held, reverse=True):
        if room(count, reserve, running, one):
            running.append(one)
    assert slots.free == count - len(running)
    more = 0
    while room(count, reserve, running, priority):
        running.append(priority)
        more += 1
    assert slots.room(priority) == more
