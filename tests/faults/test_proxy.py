"""Scenario 3: a proxy between the workers and PostgreSQL drops, delays, goes deaf, half-closes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cutting import Fault, endure
from tests.support.history.report import Report
from tests.support.lan import Lan, through
from tests.support.proxy import Proxy
from tests.support.seed import Chance

KINDS: dict[str, Callable[[Proxy], None]] = {
    "drop": Proxy.drop,
    "half-close": Proxy.half_close,
    "delay": lambda proxy: proxy.delay(0.2),
    "deaf": Proxy.deafen,
    "hold": Proxy.hold,
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("rounds", "longest"), [(1, 2.5), pytest.param(8, 4.0, marks=[pytest.mark.chaos])]
)
def test_the_way_to_the_database_fails(
    postgres_url: str,
    tmp_path: Path,
    chance: Chance,
    lab: Callable[[Report], None],
    rounds: int,
    longest: float,
):
    with Proxy(postgres_url) as one, Proxy(postgres_url) as two:
        proxies = [one, two]

        def faults() -> Iterator[Fault]:
            for _ in range(rounds):
                for name in chance.sample(sorted(KINDS), len(KINDS)):
                    way = chance.randrange(2)
                    proxy, begin = proxies[way], KINDS[name]
                    seconds = chance.uniform(0, longest)
                    yield Fault(name, way, lambda b=begin, p=proxy: b(p), seconds, proxy.heal)

        lan = Lan(postgres_url, [through(proxy) for proxy in proxies])
        load = rounds * len(KINDS) * (longest / 2 + 0.5)
        report = endure("proxy", lan, faults(), tmp_path, chance, load)
    lab(report)
