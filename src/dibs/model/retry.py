"""Whether a failed job is tried again, and when: rules by exception, and a backoff."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from random import Random

from dibs.errors import ConfigurationError, InvalidJobError
from dibs.model.backoff import Backoff, BackoffFunction
from dibs.model.job import check_max_attempts
from dibs.model.times import duration

ErrorRule = type[BaseException] | str
"""An exception class, or its full name, as in `"requests.exceptions.Timeout"`. The module of the
program itself goes by the name under which it is imported."""


_EXPONENTIAL = Backoff()


@dataclass(frozen=True)
class Retry:
    """How often a job is tried, after which errors, and with which delays between.

    Args:
        max_attempts: how often at most, 1 to 1,000,000. Default what `max_attempts=` says beside
            it, and 5 without that.
        backoff: the delay between attempts: a Backoff, or a function from the number of failures
            to seconds or a timedelta. Default exponential, from 15 seconds to an hour.
        retry_on: exceptions after which it is tried again; any other one buries it at once, with
            the reason `gave_up`. Default all. Subclasses count.
        give_up_on: exceptions after which it is buried at once; they win over `retry_on`.
            Default none.

    Raises:
        ConfigurationError: something else than these.
        InvalidJobError: `max_attempts` is out of its range.

    Example:
        >>> Retry(max_attempts=8, backoff=Backoff.linear(30), give_up_on=[PermissionError])
    """

    max_attempts: int | None = None
    backoff: Backoff | BackoffFunction = _EXPONENTIAL
    retry_on: Iterable[ErrorRule] | None = None
    give_up_on: Iterable[ErrorRule] = ()

    def __post_init__(self) -> None:
        """Check the values; rules become names, which can be stored and compared anywhere."""
        if self.max_attempts is not None:
            check_max_attempts(self.max_attempts)
        if not isinstance(self.backoff, Backoff) and not callable(self.backoff):
            raise ConfigurationError(
                f"backoff={self.backoff!r}: expected a Backoff, for example "
                "Backoff.exponential(base=1), or a function from failures to seconds"
            )
        if self.retry_on is not None:
            object.__setattr__(self, "retry_on", _names(self.retry_on, "retry_on"))
        object.__setattr__(self, "give_up_on", _names(self.give_up_on, "give_up_on"))

    def gives_up(self, errors: Sequence[str]) -> bool:
        """Return whether an error ends the job; `errors` are its class's names, as `error_names`.

        Without names it is no handler's exception, as the death of a child process, and no rule
        is about it.
        """
        if not errors:
            return False
        if any(name in self.give_up_on for name in errors):
            return True
        return self.retry_on is not None and not any(name in self.retry_on for name in errors)

    def delay(self, failures: int, chance: Random) -> int:
        """Return the microseconds to wait after the `failures`-th failure (1 is the first).

        Raises:
            Exception: whatever a function of the user's own raises.
        """
        if isinstance(self.backoff, Backoff):
            return self.backoff.delay(failures, chance)
        return duration(self.backoff(failures), "backoff")


def error_names(error: BaseException) -> tuple[str, ...]:
    """Return the full names of an exception's class and of its bases."""
    return tuple(map(_name, type(error).__mro__[:-1]))


def _name(cls: type) -> str:
    return _imported(f"{cls.__module__}.{cls.__qualname__}")


def _imported(name: str) -> str:
    """Return the name that what is in the program itself has where others import it.

    A rule that `python shop.py` stores is about `shop.DeclinedError`, as in a worker that runs
    `shop:app`. What nobody can import, in a shell or a notebook, stays in `__main__`; in a child
    process multiprocessing calls that module `__mp_main__`.
    """
    module, _, rest = name.partition(".")
    if module not in {"__main__", "__mp_main__"}:
        return name
    program = sys.modules["__main__"]
    spec, file = getattr(program, "__spec__", None), getattr(program, "__file__", None)
    found = spec.name if spec is not None else PurePath(file or "").stem
    if not all(part.isidentifier() for part in found.split(".")):
        found = "__main__"
    return f"{found}.{rest}"


def _names(rules: object, what: str) -> tuple[str, ...]:
    found: list[ErrorRule]
    if isinstance(rules, str | type) or not isinstance(rules, Iterable):
        raise ConfigurationError(
            f"{what}={rules!r}: expected a list of exceptions, for example [ConnectionError]"
        )
    found = list(rules)
    return tuple(_checked(rule, what) for rule in found)


def _checked(rule: object, what: str) -> str:
    if isinstance(rule, type) and issubclass(rule, BaseException):
        return _name(rule)
    if isinstance(rule, str) and all(map(_is_part, rule.split("."))):
        return _imported(rule) if "." in rule else f"builtins.{rule}"
    raise ConfigurationError(
        f"{what} contains {rule!r}: expected an exception class, or its full name as in "
        "'requests.exceptions.Timeout'"
    )


def _is_part(text: str) -> bool:
    return text.isidentifier() or text == "<locals>"


def retry_to_json(retry: Retry) -> str:
    """Return a job's own rules as they are stored with it.

    Raises:
        InvalidJobError: the backoff is a function, which cannot be stored.
    """
    if not isinstance(retry.backoff, Backoff):
        raise InvalidJobError(
            f"backoff={retry.backoff!r}: a function cannot be stored with a job; give it to "
            "@app.job(retry=…), or use Backoff.exponential, .fixed or .linear"
        )
    on = None if retry.retry_on is None else list(retry.retry_on)
    return json.dumps([retry.backoff.to_json(), on, list(retry.give_up_on)])


@lru_cache(maxsize=256)
def retry_from_json(text: str) -> Retry | None:
    """Return the rules that a job carries; None where a later version wrote what can't be read."""
    try:
        backoff, on, give_up = json.loads(text)
        return Retry(None, Backoff.from_json(backoff), on, give_up)
    except (ValueError, TypeError, ConfigurationError, RecursionError):
        return None
