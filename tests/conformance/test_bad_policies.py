"""Policies and worker options that can't be: refused in words that help, before the database."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from dibs import Aging, ConfigurationError, Dibs, DibsError, InvalidJobError, Priority
from tests.conformance.face import Face, faces

NOWHERE = ["sqlite:////nowhere/dibs.db", "postgresql://nobody@127.0.0.1:1/nothing"]
"""What would fail in other words if it were opened."""

NAMES: dict[object, list[str]] = {
    "": ["queue=''", "a name"],
    " mail": ["queue=' mail'", "blanks"],
    "a\nb": ["printable"],
    "q" * 201: ["at most 200"],
    None: ["queue=None"],
    5: ["queue=5"],
}

POLICIES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "aging a number": ({"aging": 600}, ["aging=600", "Aging(after=600"]),
    "aging a truth": ({"aging": True}, ["aging=True", "an Aging"]),
    "aging a class": ({"aging": Aging}, ["aging=<class", "an Aging"]),
    "aging a dict": ({"aging": {"after": 5}}, ["aging={'after': 5}", "an Aging"]),
    "weight zero": ({"weights": {10: 0}}, ["weights[10]=0", "from 1 to 1000000"]),
    "weight negative": ({"weights": {10: -2}}, ["weights[10]=-2", "from 1 to 1000000"]),
    "weight huge": ({"weights": {0: 10**7}}, ["weights[0]=10000000", "from 1 to 1000000"]),
    "weight a truth": ({"weights": {10: True}}, ["weights[10]=True", "integer"]),
    "weight a string": ({"weights": {10: "2"}}, ["weights[10]='2'", "integer"]),
    "weight a fraction": ({"weights": {10: 0.5}}, ["weights[10]=0.5", "integer"]),
    "weight none": ({"weights": {Priority.HIGH: None}}, ["weights[10]=None", "integer"]),
    "weights a list": ({"weights": [(10, 2)]}, ["weights=[(10, 2)]", "by priority"]),
    "weights an empty list": ({"weights": []}, ["weights=[]", "by priority"]),
    "weights a number": ({"weights": 0}, ["weights=0", "by priority"]),
    "weights a string": ({"weights": "10=2"}, ["weights='10=2'", "by priority"]),
    "level too high": ({"weights": {32_768: 1}}, ["32768", "-32768 to 32767"]),
    "level too low": ({"weights": {0: 1, -32_769: 1}}, ["-32769", "-32768 to 32767"]),
    "level a name": ({"weights": {"HIGH": 1}}, ["'HIGH'", "integer"]),
    "level a truth": ({"weights": {True: 1}}, ["True", "integer"]),
}

AGINGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "after negative": ({"after": -1}, ["aging after=-1", "at least 0 seconds"]),
    "after NaN": ({"after": math.nan}, ["aging after=nan", "finite"]),
    "after endless": ({"after": math.inf}, ["aging after=inf", "finite"]),
    "after huge": ({"after": 1e300}, ["aging after=1e+300", "at most 365000 days"]),
    "after too long": ({"after": timedelta.max}, ["aging after=", "at most 365000 days"]),
    "after a truth": ({"after": True}, ["aging after=True", "seconds or a timedelta"]),
    "after in words": ({"after": "10m"}, ["aging after='10m'", "seconds or a timedelta"]),
    "after none": ({"after": None}, ["aging after=None", "seconds or a timedelta"]),
    "after decimal": ({"after": Decimal(1)}, ["Decimal('1')", "seconds or a timedelta"]),
    "every zero": ({"every": 0}, ["aging every=0", "at least 0.000001 seconds"]),
    "every no time": ({"every": timedelta(0)}, ["aging every=", "at least 0.000001 seconds"]),
    "every too short": ({"every": 1e-7}, ["aging every=1e-07", "at least 0.000001 seconds"]),
    "every negative": ({"every": -60}, ["aging every=-60", "at least 0.000001 seconds"]),
    "step zero": ({"step": 0}, ["aging step=0", "from 1 to 65535"]),
    "step negative": ({"step": -1}, ["aging step=-1", "from 1 to 65535"]),
    "step huge": ({"step": 65_536}, ["aging step=65536", "from 1 to 65535"]),
    "step a truth": ({"step": True}, ["aging step=True", "integer"]),
    "step a fraction": ({"step": 1.0}, ["aging step=1.0", "integer"]),
    "ceiling too high": ({"ceiling": 32_768}, ["aging ceiling=32768", "-32768 to 32767"]),
    "ceiling too low": ({"ceiling": -32_769}, ["aging ceiling=-32769", "-32768 to 32767"]),
    "ceiling a name": ({"ceiling": "HIGH"}, ["aging ceiling='HIGH'", "integer"]),
    "ceiling a truth": ({"ceiling": False}, ["aging ceiling=False", "integer"]),
    "ceiling none": ({"ceiling": None}, ["aging ceiling=None", "integer"]),
}

WORKERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "queues a name": ({"queues": "mail"}, ["queues='mail'", '["mail"]']),
    "queues bytes": ({"queues": b"mail"}, ["queues=b'mail'", "names"]),
    "queues a number": ({"queues": 5}, ["queues=5", "names"]),
    "queues none": ({"queues": []}, ["queues=[]", "at least one"]),
    "queues none, weighted": ({"queues": {}}, ["queues={}", "at least one"]),
    "a queue no name": ({"queues": ["mail", ""]}, ["queue=''", "name"]),
    "a weighted queue no name": ({"queues": {5: 1}}, ["queue=5", "name"]),
    "queue's weight zero": ({"queues": {"mail": 0}}, ["queues['mail']=0", "1 to 1000000"]),
    "queue's weight negative": ({"queues": {"a": 1, "b": -1}}, ["queues['b']=-1", "weight"]),
    "queue's weight a truth": ({"queues": {"mail": True}}, ["queues['mail']=True", "integer"]),
    "queue's weight a string": ({"queues": {"mail": "3"}}, ["queues['mail']='3'", "integer"]),
    "priorities a number": ({"priorities": 5}, ["priorities=5", "(10, None)"]),
    "priorities zero": ({"priorities": 0}, ["priorities=0", "(10, None)"]),
    "priorities empty": ({"priorities": ()}, ["priorities=()", "(10, None)"]),
    "priorities one": ({"priorities": (10,)}, ["priorities=(10,)", "(10, None)"]),
    "priorities three": ({"priorities": (1, 2, 3)}, ["priorities=(1, 2, 3)", "(10, None)"]),
    "priorities a string": ({"priorities": "12"}, ["priorities='12'", "(10, None)"]),
    "priorities a set": ({"priorities": {1, 2}}, ["priorities={1, 2}", "(10, None)"]),
    "priorities reversed": ({"priorities": (20, 10)}, ["priorities=(20, 10)", "no job"]),
    "priority too high": ({"priorities": (None, 40_000)}, ["40000", "-32768 to 32767"]),
    "priority a name": ({"priorities": ("HIGH", None)}, ["'HIGH'", "integer"]),
    "reserve all": ({"reserve": {10: 4}}, ["{10: 4}", "concurrency=4", "priorities="]),
    "reserve more": ({"reserve": {10: 2, 20: 3}}, ["{10: 2, 20: 3}", "concurrency=4"]),
    "reserve a number": ({"reserve": 2}, ["reserve=2", "{10: 2}"]),
    "reserve zero": ({"reserve": 0}, ["reserve=0", "{10: 2}"]),
    "reserve a list": ({"reserve": [(10, 2)]}, ["reserve=[(10, 2)]", "{10: 2}"]),
    "reserve an empty list": ({"reserve": []}, ["reserve=[]", "{10: 2}"]),
    "no slots": ({"reserve": {Priority.HIGH: 0}}, ["reserve[10]=0", "positive"]),
    "slots negative": ({"reserve": {10: -1}}, ["reserve[10]=-1", "positive"]),
    "slots a truth": ({"reserve": {10: True}}, ["reserve[10]=True", "positive"]),
    "slots a string": ({"reserve": {10: "2"}}, ["reserve[10]='2'", "positive"]),
    "reserve for a name": ({"reserve": {"HIGH": 2}}, ["'HIGH'", "integer"]),
    "reserve out of range": ({"reserve": {40_000: 2}}, ["40000", "-32768 to 32767"]),
    "reserve above the range": (
        {"reserve": {10: 2}, "priorities": (None, 9)},
        ["reserve={10: 2}", "up to 9", "never"],
    ),
}


def refuses(call: Callable[[], object], words: list[str]) -> None:
    with pytest.raises((ConfigurationError, InvalidJobError)) as raised:
        call()
    for word in words:
        assert word in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.fixture(params=NOWHERE, ids=["sqlite", "postgres"])
def nowhere(request: pytest.FixtureRequest) -> str:
    return request.param


def test_the_database_would_fail_in_other_words(nowhere: str, mode: str):
    with faces(mode) as make, pytest.raises(DibsError, match=r"nowhere|nobody"):
        make(nowhere).queues.configure("mail")


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_names(nowhere: str, mode: str, name: Any):
    with faces(mode) as make:
        queues: Face = make(nowhere).queues
        for call in (queues.configure, queues.reset, queues.get, queues.declare):
            refuses(lambda call=call: call(name), NAMES[name])


@pytest.mark.parametrize("case", POLICIES)
def test_policies(nowhere: str, mode: str, case: str):
    options, words = POLICIES[case]
    with faces(mode) as make:
        face = make(nowhere)
        refuses(lambda: face.queues.configure("mail", **options), words)
        refuses(lambda: face.queues.declare("mail", **options), words)
        assert face.target.queues.declared == {}


@pytest.mark.parametrize("case", AGINGS)
def test_agings(case: str):
    options, words = AGINGS[case]
    refuses(lambda: Aging(**options), words)


@pytest.mark.parametrize("case", WORKERS)
def test_options_of_a_worker(case: str):
    options, words = WORKERS[case]
    app = Dibs(NOWHERE[0])
    app.job(refuses)
    refuses(lambda: app.worker(**{"concurrency": 4, **options}), words)


@pytest.mark.parametrize(
    ("options", "queues"),
    [
        ({}, ["default", "orders"]),
        ({"queues": ["mail"]}, ["mail"]),
        ({"queues": ("b", "a", "b")}, ["b", "a"]),
        ({"queues": {"reports": 1, "mail": 3}}, ["reports", "mail"]),
        ({"priorities": (Priority.HIGH, None), "reserve": {Priority.HIGH: 2}}, None),
        ({"priorities": [None, 9]}, None),
        ({"priorities": (10, 10), "reserve": {10: 3}}, None),
        ({"priorities": None, "reserve": None}, None),
        ({"reserve": {}}, None),
    ],
    ids=str,
)
def test_a_worker_tells_its_queues(options: dict[str, Any], queues: list[str] | None):
    app = Dibs(NOWHERE[0])
    for queue in ("orders", "default"):
        app.job(queue=queue, kind=queue)(print_nothing)
    worker = app.worker(concurrency=4, **options)
    assert worker.queues == (queues or ["default", "orders"])


def print_nothing() -> None: ...
