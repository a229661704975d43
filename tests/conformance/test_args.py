"""Typed args: what is stored loads back as what was given."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import json
import math
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, Optional

import pydantic
import pytest
from typing_extensions import TypedDict

from dibs import InvalidArgsError, JobContext
from tests.conformance.face import Face

NUMBERS = itertools.count()


class Color(enum.Enum):
    RED = "red"
    BLUE = 2


class Size(enum.IntEnum):
    SMALL = 1


@dataclasses.dataclass
class Point:
    x: int
    y: Decimal = Decimal(0)
    tags: list[str] = dataclasses.field(default_factory=list)
    blob: bytes = b""


class Item(pydantic.BaseModel):
    sku: str
    price: Decimal
    at: datetime | None = None


class Order(pydantic.BaseModel):
    id: uuid.UUID
    items: list[Item]
    color: Color = Color.RED


class Aliased(pydantic.BaseModel):
    order_id: int = pydantic.Field(alias="orderId")


class Computed(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    width: int

    @pydantic.computed_field
    def area(self) -> int:
        return self.width**2


class Pair(NamedTuple):
    left: int
    right: date


class Options(TypedDict, total=False):
    deadline: date
    note: str


CASES: list[tuple[Any, Any]] = [
    (bool, True),
    (int, -1),
    (int, 10**40),
    (int, 2**63),
    (float, 0.1),
    (float, 1e308),
    (float, -0.0),
    (float, math.inf),
    (float, -math.inf),
    (float, math.nan),
    (list[float], [math.inf, math.nan, 1.0]),
    (str, ""),
    (str, 'grüße 你好 🎈 "quoted" \\ \n \u2028'),
    (str, "before\u0000after"),
    (str, "\\u0000"),
    (str, "'; DROP TABLE dibs_jobs; --"),
    (str, "%s %(x)s :name $1 {}"),
    (str, "NaN"),
    (dict[str, str], {"\u0000": "\u0001", "": "$"}),
    (date, date(2024, 2, 29)),
    (time, time(23, 59, 59, 999999)),
    (datetime, datetime(2026, 1, 2, 3, 4, 5, 678901)),  # noqa: DTZ001 - args may be naive
    (datetime, datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)),
    (datetime, datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=5, minutes=45)))),
    (timedelta, timedelta(days=-3, microseconds=7)),
    (Decimal, Decimal("12345678901234567890.123456789012345678900")),
    (uuid.UUID, uuid.UUID(int=2**128 - 1)),
    (Color, Color.RED),
    (Color, Color.BLUE),
    (Size, Size.SMALL),
    (bytes, bytes(range(256))),
    (bytes, b""),
    (PurePosixPath, PurePosixPath("/tmp/ä b")),
    (Point, Point(1, Decimal("2.50"), ["a"], b"\xff\x00")),
    (Order, Order(id=uuid.UUID(int=7), items=[Item(sku="s", price=Decimal("9.90"))])),
    (Aliased, Aliased(orderId=7)),
    (Computed, Computed(width=3)),
    (Pair, Pair(1, date(2020, 1, 1))),
    (Options, {"deadline": date(2030, 1, 1)}),
    (Optional[date], None),  # noqa: UP045 - the old spelling, on purpose
    (date | None, date(2020, 1, 1)),
    (int | str, "5"),
    (int | str, 5),
    (Point | Order, Point(3)),
    (Literal["a", 1], 1),
    (Annotated[int, pydantic.Field(gt=0)], 3),
    (list[list[list[date]]], [[[date(2020, 1, 1)], []], []]),
    (dict[str, list[Point]], {"k": [Point(1), Point(2, Decimal("0.1"))]}),
    (dict[int, date], {1: date(2020, 1, 1)}),
    (tuple[int, ...], (1, 2, 3)),
    (tuple[int, date], (1, date(2020, 1, 1))),
    (set[int], {3, 1, 2}),
    (frozenset[uuid.UUID], frozenset({uuid.UUID(int=1), uuid.UUID(int=2)})),
    (Any, {"a": [1, 2.5, "x", None, True]}),
    (None, None),
]


def declared(face: Face, annotation: Any) -> Any:
    """A handler of a kind of its own with one parameter, `value`."""

    def handle(value: Any) -> None: ...

    handle.__annotations__["value"] = annotation
    return face.handler(handle, kind=f"handle{next(NUMBERS)}")


def loaded(face: Face, handler: Any, job_id: int) -> Any:
    """The args as a worker would pass them to the handler."""
    return handler.target.schema.load(json.dumps(face.jobs.get(job_id).args))


def same(one: Any, other: Any) -> bool:
    """Equal and of one type; NaN is NaN, and -0.0 is not 0.0."""
    return type(one) is type(other) and (repr(one) == repr(other) or one == other)


@pytest.mark.parametrize(("annotation", "value"), CASES, ids=lambda part: repr(part)[:40])
class TestRoundTrip:
    def test_of_a_call(self, lasting_face: Face, annotation: Any, value: Any):
        handler = declared(lasting_face, annotation)
        job = handler.enqueue(value)
        assert lasting_face.jobs.get(job.id).args == job.args
        assert same(loaded(lasting_face, handler, job.id)["value"], value)

    def test_of_many(self, lasting_face: Face, annotation: Any, value: Any):
        handler = declared(lasting_face, annotation)
        (job_id,) = lasting_face.enqueue_many([handler.request(value=value)])
        assert same(loaded(lasting_face, handler, job_id)["value"], value)

    def test_by_name(self, lasting_face: Face, annotation: Any, value: Any):
        handler = declared(lasting_face, annotation)
        job = lasting_face.enqueue(handler.kind, {"value": value})
        assert same(loaded(lasting_face, handler, job.id)["value"], value)


class TestJsonByName:
    """What a shell or another language would send: JSON values stand for the typed ones."""

    @pytest.mark.parametrize(
        ("annotation", "given", "value"),
        [
            (date, "2024-02-29", date(2024, 2, 29)),
            (Decimal, "2.50", Decimal("2.50")),
            (uuid.UUID, str(uuid.UUID(int=1)), uuid.UUID(int=1)),
            (Color, "red", Color.RED),
            (Point, {"x": 1, "y": "2"}, Point(1, Decimal(2))),
            (list[date], ["2024-02-29"], [date(2024, 2, 29)]),
        ],
    )
    def test_is_read_as_what_the_handler_names(
        self, lasting_face: Face, annotation: Any, given: Any, value: Any
    ):
        handler = declared(lasting_face, annotation)
        job = lasting_face.enqueue(handler.kind, {"value": given})
        assert same(loaded(lasting_face, handler, job.id)["value"], value)


class TestSignatures:
    def test_keyword_only_and_defaults(self, lasting_face: Face):
        def handle(a: int, b: date = date(2020, 1, 1), *, c: Decimal = Decimal(1)) -> None: ...

        handler = lasting_face.handler(handle, kind=f"handle{next(NUMBERS)}")
        job = handler.enqueue(1, c=Decimal(2))
        assert loaded(lasting_face, handler, job.id) == {"a": 1, "c": Decimal(2)}

    def test_any_number_of_keywords(self, lasting_face: Face):
        def handle(a: int, **rest: date) -> None: ...

        handler = lasting_face.handler(handle, kind=f"handle{next(NUMBERS)}")
        args = {"a": 1, "due": date(2020, 1, 1), "rest": date(2021, 1, 1)}
        by_call, by_name = handler.enqueue(**args), lasting_face.enqueue(handler.kind, args)
        assert loaded(lasting_face, handler, by_call.id) == args
        assert loaded(lasting_face, handler, by_name.id) == args
        with pytest.raises(InvalidArgsError, match="due"):
            handler.enqueue(1, due="soon")

    def test_untyped_keywords(self, lasting_face: Face):
        def handle(**rest) -> None: ...

        handler = lasting_face.handler(handle, kind=f"handle{next(NUMBERS)}")
        job = handler.enqueue(a=[1, None], b={"c": "d"})
        assert loaded(lasting_face, handler, job.id) == {"a": [1, None], "b": {"c": "d"}}

    @pytest.mark.parametrize("annotation", [JobContext, JobContext | None, "JobContext"])
    def test_the_context_is_not_an_arg(self, lasting_face: Face, annotation: Any):
        def handle(context: Any, a: int, **rest: int) -> None: ...

        handle.__annotations__["context"] = annotation
        handler = lasting_face.handler(handle, kind=f"handle{next(NUMBERS)}")
        assert handler.enqueue(5).args == {"a": 5}
        assert handler.target.schema.context_parameter == "context"
        for bad in (
            lambda: handler.enqueue(5, context=None),
            lambda: lasting_face.enqueue(handler.kind, {"a": 5, "context": 1}),
        ):
            with pytest.raises(InvalidArgsError, match="context"):
                bad()

    def test_without_args(self, lasting_face: Face):
        handler = lasting_face.handler(lambda: None, kind=f"handle{next(NUMBERS)}")
        assert loaded(lasting_face, handler, handler.enqueue().id) == {}

    def test_async_handlers_too(self, lasting_face: Face):
        async def handle(a: date) -> None: ...

        handler = lasting_face.handler(handle, kind=f"handle{next(NUMBERS)}")
        job = handler.enqueue(date(2020, 1, 1))
        assert loaded(lasting_face, handler, job.id) == {"a": date(2020, 1, 1)}
