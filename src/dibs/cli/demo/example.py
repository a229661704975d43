"""Where the example shop is, and what it needs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from dibs.errors import ConfigurationError, MissingDependencyError

PACKAGES = {"fastapi": "fastapi", "uvicorn": "uvicorn", "httpx": "httpx", "fpdf": "fpdf2"}
"""What the shop and its customers import, and the packages that bring it."""

_DIBS = Path(__file__).parents[2]
_PLACES = (_DIBS / "examples", _DIBS.parents[1] / "examples")
"""In an installed dibs, and in a source checkout."""


def find_example() -> Path:
    """Return the folder from which `orders.api` and `orders.jobs` can be imported.

    Raises:
        ConfigurationError: the example is not there.
    """
    for folder in _PLACES:
        if (folder / "orders" / "jobs.py").is_file():
            return folder
    raise ConfigurationError(
        f"the example shop is missing from {_PLACES[0]}; install dibs again: "
        "pip install --force-reinstall 'dibs[example]'"
    )


def check_packages() -> None:
    """Make sure that the shop can be imported.

    Raises:
        MissingDependencyError: a package of the extra `example` is missing.
    """
    for module, package in PACKAGES.items():
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(package, "example", "dibs demo")
