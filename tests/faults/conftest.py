"""The lab: chance with a seed, and a table of what the scenarios found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

import pytest

from tests.support.history.report import HEAD, Report
from tests.support.seed import Chance

PROPERTY = "lab"
SHOWN = 20
"""Violations that are printed: where there is one, there may be hundreds."""


@pytest.fixture
def chance() -> Chance:
    return Chance()


@pytest.fixture
def lab(record_property: Callable[[str, object], None]) -> Callable[[Report], None]:
    """Judge a report: it goes to the table at the end of the run, and has to be without fault."""

    def judge(report: Report) -> None:
        record_property(PROPERTY, report.row())
        print(asdict(replace(report, violations=report.violations[:SHOWN])))
        assert not report.violations, "\n".join(map(str, report.violations[:SHOWN]))

    return judge


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the lab found, ready to be pasted."""
    rows = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", [])
        if name == PROPERTY and report.when == "call"
    ]
    if rows:
        terminalreporter.section("the lab")
        for line in [*HEAD.splitlines(), *rows]:
            terminalreporter.write_line(line)
