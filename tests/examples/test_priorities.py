"""The simulation of priorities: what the documentation shows is what it gives."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from dibs import Priority
from dibs.model.aging import Aging
from dibs.model.lines import Demand, Line, Serving
from dibs.model.ordering import order
from dibs.model.queues import STRICT, QueuePolicy
from dibs.model.times import SECOND
from tests.examples.pages import ROOT

EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs/explanation/priorities.md"
IMAGES = ROOT / "docs/explanation/img"
MINUTE = 60


@pytest.fixture(scope="module")
def simulation() -> Iterator[SimpleNamespace]:
    """Its report and picture, and what it measures by default."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        report = importlib.import_module("priorities.report")
        picture = importlib.import_module("priorities.picture")
        yield SimpleNamespace(report=report, picture=picture, measured=report.measure())
    for name in [name for name in sys.modules if name.partition(".")[0] == "priorities"]:
        del sys.modules[name]


def waits(simulation: SimpleNamespace, choice: str) -> dict[Priority, Any]:
    return {w.priority: w for w in simulation.measured if w.choice.name == choice}


def test_the_picture_is_what_the_script_draws(simulation: SimpleNamespace):
    shown = (IMAGES / "waiting.svg").read_bytes()
    assert simulation.picture.draw(simulation.measured).encode() == shown, (
        "draw it again: cd examples; python -m priorities --svg ../docs/explanation/img/waiting.svg"
    )


def test_the_page_shows_the_table(simulation: SimpleNamespace):
    assert simulation.report.table(simulation.measured) in PAGE.read_text("utf-8")


@pytest.mark.parametrize("image", sorted(IMAGES.iterdir()), ids=lambda path: path.name)
def test_images_are_well_formed_and_shown(image: Path):
    ElementTree.parse(image)
    assert f"(img/{image.name})" in PAGE.read_text("utf-8")


def test_under_strict_order_the_low_starve(simulation: SimpleNamespace):
    found = waits(simulation, "strict")
    assert found[Priority.CRITICAL].longest < 10
    assert found[Priority.LOW].never > found[Priority.LOW].jobs / 2


def test_aging_keeps_its_bound(simulation: SimpleNamespace):
    found = waits(simulation, "aging")
    assert not any(w.never for w in found.values())
    assert found[Priority.NORMAL].longest < 24 * MINUTE
    assert found[Priority.LOW].longest < 29 * MINUTE


def test_weights_let_all_run(simulation: SimpleNamespace):
    assert not any(w.never for w in waits(simulation, "weights").values())


@pytest.mark.parametrize(
    ("panel", "policy"), [("strict", STRICT), ("aging", QueuePolicy(aging=Aging()))]
)
def test_lines_are_drawn_as_they_are_taken(panel: str, policy: QueuePolicy):
    drawing = ElementTree.parse(IMAGES / "lines.svg")
    drawn = {
        int(job.attrib["data-turn"]): job.attrib
        for job in drawing.findall(f".//*[@id='{panel}']//*[@data-turn]")
    }
    lines: dict[int, list[tuple[int, int]]] = {}
    for job in drawn.values():
        head = (micros(job["data-at"]), int(job["data-id"]))
        lines.setdefault(int(job["data-priority"]), []).append(head)
    ready = [Line("mail", priority, sorted(heads)) for priority, heads in lines.items()]
    turns = order(
        ready, Serving(("mail",)), Demand(len(drawn)), {"mail": policy}, micros("12:00"), {}
    )
    assert [(turn.job_id, turn.effective) for turn in turns] == [
        (int(job["data-id"]), int(job["data-counts"])) for _, job in sorted(drawn.items())
    ]


def micros(clock: str) -> int:
    hours, minutes = clock.split(":")
    return (int(hours) * 60 + int(minutes)) * MINUTE * SECOND
