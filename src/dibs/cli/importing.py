"""From `--app module:attribute` to the `Dibs` object, or to one line on why it cannot be had."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from operator import attrgetter
from pathlib import Path
from types import ModuleType

from dibs.app import Dibs
from dibs.cli.failures import Misuse
from dibs.errors import ConfigurationError, DibsError

INSTALLED = {"site-packages", "dist-packages"}
"""Folders whose code is not the user's own, although they may lie in the user's folder."""


def load_app(name: str) -> Dibs:
    """Import the `Dibs` object that `name` (module:attribute) means.

    Raises:
        Misuse: there is none.
        ConfigurationError: its module needs a package that is not installed, or raises.
    """
    module_name, _, path = name.partition(":")
    parts = [*module_name.split("."), *path.split(".")]
    if not all(part.isidentifier() for part in parts) or module_name.endswith(".py"):
        raise Misuse(f"--app {name}: expected module:attribute, for example shop:app")
    module = _import(name, module_name)
    try:
        found = attrgetter(path)(module)
    except AttributeError as error:
        raise Misuse(
            f"--app {name}: module {module_name!r} has no {path!r}{_suggest(module)}"
        ) from error
    if not isinstance(found, Dibs):
        raise Misuse(
            f"--app {name}: {path!r} is of type {type(found).__name__}, not Dibs{_suggest(module)}"
        )
    return found


def _import(name: str, module_name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigurationError(
                f"--app {name}: importing {module_name!r} failed: {error}; install what it needs"
            ) from error
        raise Misuse(
            f"--app {name}: there is no module {error.name!r} in {here}, nor an installed one"
        ) from error
    except DibsError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"cannot import {module_name!r}: {_described(error)}{_place(error, module_name)}"
        ) from error


def _suggest(module: ModuleType) -> str:
    found = [name for name, value in vars(module).items() if isinstance(value, Dibs)]
    return f"; did you mean {module.__name__}:{found[0]}?" if found else ""


# --- What a module raised --------------------------------------------------------------------


def _described(error: BaseException) -> str:
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _place(error: BaseException, module_name: str) -> str:
    """Return where in the user's own code `error` came from, in brackets."""
    places = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _is_users(frame.f_code.co_filename, frame.f_globals.get("__name__", ""), module_name)
    ]
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
        places.append((error.filename, error.lineno or 1))
    if not places:
        return ""
    file, line = places[-1]
    return f" ({_short(Path(file))}, line {line})"


def _is_users(file: str, module: str, app_module: str) -> bool:
    """Return whether code is the app's own package, or lies in the working directory."""
    package = module.partition(".")[0]
    if package == app_module.partition(".")[0]:
        return True
    path = Path(file)
    return (
        package != "dibs"
        and path.is_relative_to(Path.cwd())
        and INSTALLED.isdisjoint(path.parts)
        and path.is_file()
    )


def _short(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
