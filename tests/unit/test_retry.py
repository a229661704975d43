"""Rules for retries: which errors end a job, and what can be stored with one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from importlib.machinery import ModuleSpec
from random import Random
from types import SimpleNamespace

import pytest

from dibs.errors import ConfigurationError, InvalidJobError
from dibs.model.backoff import Backoff
from dibs.model.retry import Retry, error_names, retry_from_json, retry_to_json
from dibs.model.times import SECOND


class PaymentError(Exception): ...


class DeclinedError(PaymentError): ...


def gives_up(retry: Retry, error: BaseException) -> bool:
    return retry.gives_up(error_names(error))


def declined(module: str) -> type[Exception]:
    return type("DeclinedError", (Exception,), {"__module__": module})


@pytest.mark.parametrize(
    ("file", "spec", "name"),
    [
        ("/srv/shop.py", None, "shop"),  # python /srv/shop.py
        ("/srv/mail/cli.py", ModuleSpec("mail.cli", None), "mail.cli"),  # python -m mail.cli
        ("/srv/mail/__main__.py", ModuleSpec("mail.__main__", None), "mail.__main__"),
        ("/srv/clean-up.py", None, "__main__"),  # which nobody can import
        (None, None, "__main__"),  # a shell
    ],
)
def test_the_program_itself_is_the_module_that_others_import(
    monkeypatch: pytest.MonkeyPatch, file: str | None, spec: ModuleSpec | None, name: str
):
    """Also in a child process, where multiprocessing gives it another name."""
    program = SimpleNamespace(__file__=file, __spec__=spec)
    monkeypatch.setitem(sys.modules, "__main__", program)
    names = ("__main__", "__mp_main__", name)
    for rule in (*map(declined, names), *(f"{one}.DeclinedError" for one in names)):
        stored = retry_from_json(retry_to_json(Retry(give_up_on=[rule])))
        for rules in (Retry(give_up_on=[rule]), stored):
            assert all(gives_up(rules, declined(one)()) for one in names)
            assert not gives_up(rules, declined("shop2")())
            assert not gives_up(rules, ValueError())


def test_a_class_inside_a_function_can_be_stored():
    class LocalError(Exception): ...

    stored = retry_from_json(retry_to_json(Retry(give_up_on=[LocalError])))
    assert stored is not None
    assert gives_up(stored, LocalError())


class TestRules:
    @pytest.mark.parametrize(
        ("retry", "ends", "goes_on"),
        [
            (Retry(), [], [ValueError(), DeclinedError(), SystemExit()]),
            (Retry(give_up_on=[LookupError]), [KeyError(), LookupError()], [ValueError()]),
            (Retry(retry_on=[OSError]), [ValueError(), Exception()], [ConnectionError()]),
            (Retry(retry_on=[]), [ValueError()], []),
            (
                Retry(retry_on=[PaymentError], give_up_on=[DeclinedError]),
                [DeclinedError(), ValueError()],
                [PaymentError()],
            ),
            (Retry(give_up_on=["KeyError"]), [KeyError()], [LookupError()]),
            (Retry(give_up_on=[f"{__name__}.PaymentError"]), [DeclinedError()], [KeyError()]),
        ],
    )
    def test_subclasses_count(
        self, retry: Retry, ends: list[BaseException], goes_on: list[BaseException]
    ):
        stored = retry_from_json(retry_to_json(retry))
        for rules in (retry, stored):
            assert rules is not None
            assert all(gives_up(rules, error) for error in ends)
            assert not any(gives_up(rules, error) for error in goes_on)

    def test_are_not_about_what_is_no_exception(self):
        assert not Retry(retry_on=[OSError]).gives_up(())


class TestDelay:
    def test_by_a_function(self):
        retry = Retry(backoff=lambda failures: timedelta(minutes=failures))
        assert retry.delay(3, Random()) == 180 * SECOND

    def test_a_function_that_returns_nonsense_is_an_error(self):
        with pytest.raises(ConfigurationError, match="backoff='soon'"):
            Retry(backoff=lambda _: "soon").delay(1, Random())  # type: ignore[arg-type,return-value]


class TestStored:
    def test_with_its_backoff(self):
        retry = Retry(3, Backoff.linear(30), [OSError], ["a.b.C"])
        assert retry_from_json(retry_to_json(retry)) == Retry(
            None, Backoff.linear(30), ["builtins.OSError"], ["a.b.C"]
        )

    def test_refuses_a_function(self):
        with pytest.raises(InvalidJobError, match="a function cannot be stored"):
            retry_to_json(Retry(backoff=lambda _: 1))

    @pytest.mark.parametrize("text", ["", "null", "[]", '["x", null, []]', "[[1], null, []]"])
    def test_what_cannot_be_read_is_none(self, text: str):
        assert retry_from_json(text) is None


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Retry(max_attempts=0), "max_attempts=0"),
        (lambda: Retry(backoff=30), "backoff=30"),  # type: ignore[arg-type]
        (lambda: Retry(retry_on=OSError), "retry_on="),  # type: ignore[arg-type]
        (lambda: Retry(retry_on="OSError"), "retry_on='OSError'"),
        (lambda: Retry(give_up_on=[int]), "give_up_on contains"),  # type: ignore[list-item]
        (lambda: Retry(give_up_on=["no name"]), "give_up_on contains 'no name'"),
    ],
)
def test_refuses_what_makes_no_sense(make: Callable[[], Retry], problem: str):
    with pytest.raises((ConfigurationError, InvalidJobError), match=problem):
        make()
