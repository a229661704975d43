"""The table of what happens when the clocks change is what happens."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest

from dibs import Timing
from dibs.model.times import from_micros, to_micros
from tests.examples.pages import ROOT, code, tables
from tests.support.cron_oracle import changes

PAGE = tables(ROOT / "docs/howto/schedules.md")
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")
DAYS = {
    zone: re.findall(r"\| (\d{4}-\d\d-\d\d): (\w+) ", text)
    for zone in ZONES
    for text in [(ROOT / "docs/howto/schedules.md").read_text("utf-8").partition(f"### {zone}")[2]]
}
"""The days at the head of each table: of the first change forward, and back."""
CASES = [
    (zone, code(row[0]), day, cell)
    for zone in ZONES
    for row in PAGE[zone]
    for (day, _), cell in zip(DAYS[zone][:2], row[1:], strict=True)
]


def told(moment: datetime) -> str:
    return moment.isoformat()[11:16] + moment.isoformat()[19:]


@pytest.mark.parametrize(("zone", "cron", "day", "cell"), CASES)
def test_the_table_is_what_happens(zone: str, cron: str, day: str, cell: str):
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    begin, end = to_micros(midnight) - 1, to_micros(midnight.replace(hour=4))
    found = takewhile(lambda tick: tick < end, Timing(cron, tz=zone).after(begin))
    local = [from_micros(tick).astimezone(ZoneInfo(zone)) for tick in found]
    assert (", ".join(map(told, local)) or "none") == cell


@pytest.mark.parametrize("zone", ZONES[:-1])
def test_the_days_are_those_of_the_changes(zone: str):
    found = changes(ZoneInfo(zone), 2026, 2027)
    days = {str(at.astimezone(ZoneInfo(zone)).date()) for at in found}
    assert {day for day, _ in DAYS[zone][:2]} == days
    assert [way for _, way in DAYS[zone][:2]] == ["forward", "back"]
