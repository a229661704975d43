"""The command line: `dibs`, or `python -m dibs`."""

from __future__ import annotations

from dibs.cli.root import main

__all__ = ["main"]
