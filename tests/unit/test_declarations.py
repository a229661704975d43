"""Declaring handlers: what can't work is refused when the module is imported, not at night."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dibs import Backoff, ConfigurationError, Dibs, DibsError, Handler, InvalidJobError

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers


@pytest.fixture
def app(tmp_path: Path) -> Dibs:
    return Dibs(f"sqlite:///{tmp_path / 'never_opened.db'}")


def module_level(n: int) -> None: ...


def other_module_level(n: int) -> None: ...


async def module_level_async(n: int) -> None: ...


def with_star_args(*numbers: int) -> None: ...


def positional_only(n: int, /) -> None: ...


def unresolvable(amount: OnlyForCheckers) -> None: ...


@dataclass
class Incomplete:
    amount: OnlyForCheckers


def unresolvable_inside(order: Incomplete) -> None: ...


def misspelt(amount: Decimall) -> None: ...  # noqa: F821 - the mistake itself


def not_json(connection: socket.socket) -> None: ...


def generator(n: int) -> Iterator[int]:
    yield n


async def async_generator(n: int) -> AsyncIterator[int]:
    yield n


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (with_star_args, ["with_star_args", "'numbers'", "passed by name"]),
        (positional_only, ["positional_only", "'n'", "passed by name"]),
        (unresolvable, ["unresolvable", "OnlyForCheckers", "module level"]),
        (unresolvable_inside, ["unresolvable_inside", "not defined", "module level"]),
        (misspelt, ["misspelt", "Decimall", "module level"]),
        (not_json, ["not_json", "socket", "JSON"]),
        (generator, ["'generator'", "is a generator", "return"]),
        (async_generator, ["async_generator", "is a generator"]),
        (7, ["7", "function"]),
        ("module_level", ["'module_level'", "function"]),
    ],
    ids=lambda part: getattr(part, "__name__", None),
)
def test_what_cannot_be_a_handler(app: Dibs, handler: Any, words: list[str]):
    with pytest.raises(ConfigurationError) as raised:
        app.job(handler)
    for word in words:
        assert word in str(raised.value)
    assert app.handlers == {}


class TestKinds:
    def test_by_default_the_name(self, app: Dibs):
        assert app.job(module_level).kind == "module_level"

    def test_of_what_has_no_name(self, app: Dibs):
        partial: Any = functools.partial(module_level, 1)
        with pytest.raises(ConfigurationError, match="needs a function"):
            app.job(partial)

    def test_twice(self, app: Dibs):
        app.job(kind="pay")(module_level)
        with pytest.raises(ConfigurationError, match=r"'pay' .* twice.*\.module_level .*other_"):
            app.job(kind="pay")(other_module_level)
        assert app.handlers["pay"].function is module_level

    def test_twice_the_same(self, app: Dibs):
        """As when a module is loaded again."""
        app.job(module_level)
        app.job(module_level)
        assert list(app.handlers) == ["module_level"]

    @pytest.mark.parametrize("kind", [" pay", "a\nb", "k" * 201, 5])
    def test_that_are_no_names(self, app: Dibs, kind: Any):
        with pytest.raises(InvalidJobError, match="kind="):
            app.job(kind=kind)(module_level)


class TestExecutors:
    @pytest.mark.parametrize(
        ("function", "executor", "chosen"),
        [
            (module_level, None, "thread"),
            (module_level_async, None, "async"),
            (module_level, "thread", "thread"),
            (module_level_async, "async", "async"),
            (module_level, "process", "process"),
        ],
    )
    def test_that_fit(self, app: Dibs, function: Any, executor: Any, chosen: str):
        assert app.job(executor=executor)(function).executor == chosen

    @pytest.mark.parametrize("executor", ["thread", "process"])
    def test_an_async_function_elsewhere(self, app: Dibs, executor: Any):
        with pytest.raises(ConfigurationError, match=rf"'{executor}'.*needs a plain def"):
            app.job(executor=executor)(module_level_async)

    def test_a_plain_function_on_the_loop(self, app: Dibs):
        with pytest.raises(ConfigurationError, match=r"'async'.*needs an async def"):
            app.job(executor="async")(module_level)

    def test_a_local_function_in_a_process(self, app: Dibs):
        def local(n: int) -> None: ...

        for function in (local, lambda: None):
            with pytest.raises(ConfigurationError, match=r"could not import.*module level"):
                app.job(executor="process", kind="local")(function)

    def test_that_are_unknown(self, app: Dibs):
        executor: Any = "gpu"
        with pytest.raises(ConfigurationError, match=r"'gpu'.*'async', 'thread' or 'process'"):
            app.job(executor=executor)(module_level)


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "shown"),
        [
            ({"priority": 40_000}, "-32768 to 32767"),
            ({"priority": "high"}, "priority='high'"),
            ({"max_attempts": 0}, "max_attempts=0"),
            ({"queue": ""}, "queue=''"),
            ({"queue": None}, "queue=None"),
            ({"retry": 5}, "retry=5"),
        ],
    )
    def test_out_of_range(self, app: Dibs, options: dict[str, Any], shown: str):
        with pytest.raises(DibsError, match=shown):
            app.job(**options)(module_level)
        assert app.handlers == {}

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Backoff.exponential(base=-1),
            lambda: Backoff.exponential(factor=0.5),
            lambda: Backoff.exponential(jitter=1.5),
            lambda: Backoff.exponential(max="1h"),
        ],
    )
    def test_of_a_backoff(self, make: Callable[[], Backoff]):
        with pytest.raises(ConfigurationError, match="expected"):
            make()


class TestAHandler:
    def test_is_still_the_function(self, app: Dibs):
        @app.job
        def double(n: int) -> int:
            """Twice as much."""
            return n * 2

        assert double(4) == 8
        assert (double.__name__, double.__doc__) == ("double", "Twice as much.")
        assert isinstance(double, Handler)

    def test_an_async_one_too(self, app: Dibs):
        @app.job()
        async def double(n: int) -> int:
            return n * 2

        assert asyncio.run(double(4)) == 8

    def test_opens_nothing(self, app: Dibs, tmp_path: Path):
        app.job(module_level).using(priority=3).request(1)
        assert list(tmp_path.iterdir()) == []
