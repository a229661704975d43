"""Simulate, print the table, and draw the picture: `python -m dibs.examples.priorities`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from .picture import draw
from .report import SEED, measure, table

parser = ArgumentParser(prog="priorities", description=__doc__)
parser.add_argument("--seed", type=int, default=SEED, help=f"of chance; default {SEED}")
parser.add_argument("--svg", type=Path, metavar="FILE", help="where to draw; default nowhere")
given = parser.parse_args()

measured = measure(given.seed)
print(table(measured), end="")
if given.svg:
    given.svg.write_text(draw(measured), "utf-8")
