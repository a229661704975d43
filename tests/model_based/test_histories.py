"""Both engines and an oracle in memory agree through random histories."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model_based.engines import Engines
from tests.model_based.machine import Histories

EXAMPLES = settings(
    stateful_step_count=50,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def histories(sqlite_url: str, postgres_url: str) -> Iterator[type[Histories]]:
    engines = Engines(sqlite_url, postgres_url, Histories.clock)
    Histories.engines = engines
    yield Histories
    engines.close()


@pytest.mark.timeout(420)  # after a failure, time to find the shortest history that fails
@pytest.mark.parametrize("examples", [60, pytest.param(400, marks=[pytest.mark.chaos])])
def test_engines_and_oracle_agree(histories: type[Histories], examples: int):
    run_state_machine_as_test(histories, settings=settings(EXAMPLES, max_examples=examples))
