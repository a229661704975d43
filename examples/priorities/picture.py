"""The figures as a picture: one panel for each choice, all on one logarithmic axis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from math import inf, log10

from dibs import Priority

from .report import Waits, told

WIDTH = 760
LEFT, RIGHT = 112, 588
"""Where the axis begins and ends."""
NEVER = 652
FIRST, LAST = 0.1, 3600.0
"""Seconds at both ends of the axis."""
TICKS = {0.1: "≤ 0.1 s", 1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h"}
TOP, TITLE, ROW, GAP = 92, 24, 21, 16

STYLE = """
  svg { font: 13px system-ui, sans-serif; --paper: #ffffff; --ink: #1f2328; --faint: #59636e;
    --grid: #d8dee4; --flood: #bc4c00; --trickle: #0969da }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --ink: #e6edf3; --faint: #9198a1; --grid: #30363d; --flood: #f0883e;
      --trickle: #58a6ff }
  }
  text { fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 5px }
  .head { font-size: 16px; font-weight: 600 }
  .name { font-weight: 600 }
  .faint { fill: var(--faint); font-size: 12px; font-weight: 400 }
  .paper { fill: var(--paper) }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  .grid { stroke: var(--grid) }
  .flood { color: var(--flood) }
  .trickle { color: var(--trickle) }
  .line { stroke: currentColor; stroke-width: 3; opacity: 0.45 }
  .tick { stroke: currentColor; stroke-width: 2 }
  .dot { fill: currentColor }
  .ring { fill: var(--paper); stroke: currentColor; stroke-width: 2 }
"""


def draw(measured: Iterable[Waits]) -> str:
    """Return an SVG, legible on light and on dark pages."""
    panels = [(choice, list(rows)) for choice, rows in groupby(measured, lambda w: w.choice)]
    bottom = TOP + sum(TITLE + ROW * len(rows) + GAP for _, rows in panels)
    height = bottom + 26
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" class="paper"/>',
        _text(20, 32, "How long jobs wait while urgent ones keep coming", "head"),
        *_legend(58),
        *_axis(TOP + TITLE, bottom),
    ]
    top = TOP
    for choice, rows in panels:
        code = f'<tspan dx="10" class="faint">{choice.code}</tspan>'
        parts += [
            # No line of the grid runs through a title.
            f'<rect y="{top - 8}" width="{WIDTH}" height="{TITLE + 8}" class="paper"/>',
            _text(20, top + 12, choice.name + code, "name"),
        ]
        for number, waits in enumerate(rows):
            parts += _row(top + TITLE + ROW * number + ROW // 2, waits)
        top += TITLE + ROW * len(rows) + GAP
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(y: int) -> Iterator[str]:
    yield '<g class="flood">' + _text(20, y + 4, "the flood", "name", "currentColor") + "</g>"
    yield '<g class="trickle">' + _text(96, y + 4, "the others", "name", "currentColor") + "</g>"
    yield '<g class="faint">'
    yield f'<circle cx="218" cy="{y}" r="4.5" class="dot" style="fill: var(--faint)"/>'
    yield f'<path d="M316 {y - 6}v12" style="stroke: var(--faint); stroke-width: 2"/>'
    yield f'<circle cx="452" cy="{y}" r="4" class="ring" style="stroke: var(--faint)"/>'
    yield f'<path d="{_cross(556, y)}" style="stroke: var(--faint); stroke-width: 2"/>'
    yield "</g>"
    for x, what in ((228, "median"), (324, "95 % wait less"), (462, "longest"), (567, "not run")):
        yield _text(x, y + 4, what, "faint")


def _axis(top: int, bottom: int) -> Iterator[str]:
    for x, label in [*((_place(at), label) for at, label in TICKS.items()), (NEVER, "never")]:
        yield f'<path d="M{x:.1f} {top}V{bottom - 8}" class="grid"/>'
        yield _text(x, bottom + 10, label, "faint middle")


def _row(y: int, waits: Waits) -> Iterator[str]:
    label = _text(LEFT - 14, y + 4, waits.priority.name, "faint end")
    kind = "flood" if waits.priority >= Priority.HIGH else "trickle"
    yield f'{label}<g class="{kind}">'
    median, most, longest = (_place(at) for at in (waits.median, waits.most, waits.longest))
    if waits.never:
        yield f'<path d="{_cross(NEVER, y)}" class="tick"/>'
        beside = _text(NEVER + 12, y + 4, f"{waits.never} of {waits.jobs}", "faint")
    else:
        yield f'<path d="M{median:.1f} {y}H{longest:.1f}" class="line"/>'
        yield f'<path d="M{most:.1f} {y - 6}v12" class="tick"/>'
        yield f'<circle cx="{longest:.1f}" cy="{y}" r="4" class="ring"/>'
        yield f'<circle cx="{median:.1f}" cy="{y}" r="4.5" class="dot"/>'
        beside = _text(longest + 12, y + 4, told(waits.longest), "faint")
    yield f"</g>{beside}"


def _place(seconds: float) -> float:
    """Return where on the axis a waiting time stands."""
    if seconds == inf:
        return NEVER
    share = log10(max(seconds, FIRST) / FIRST) / log10(LAST / FIRST)
    return LEFT + share * (RIGHT - LEFT)


def _cross(x: float, y: float) -> str:
    return f"M{x - 4} {y - 4}l8 8m0 -8l-8 8"


def _text(x: float, y: float, text: str, kind: str, fill: str = "") -> str:
    style = f' style="fill: {fill}"' if fill else ""
    return f'<text x="{x:.1f}" y="{y}" class="{kind}"{style}>{text}</text>'
