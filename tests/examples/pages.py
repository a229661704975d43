"""Documentation pages, and what tests read off them: code blocks, commands, links, tables.

How a page is run, from top to bottom, in a directory of its own:

- a `python` block whose first line is a comment with a file's name (`# shop.py`) is written to
  that file; any other `python` block is executed, with the names of those before it;
- a `console` block's lines that begin with `$ ` are run by a shell;
- a `text` block right after a `python` block, and what stands below a command, is the output, on
  standard output, that must come; `...` stands for anything;
- a block marked `no-run` is not run: Python is compiled, and commands are checked for options.

The PostgreSQL database of the pages, `//localhost/shop`, is replaced by a test's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DOCUMENTED_DATABASE = "//localhost/shop"

_FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w/]+\.py)$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    marks: tuple[str, ...]
    text: str
    line: int
    """Of the page, where its first line stands."""
    follows: bool
    """Whether only blanks stand between it and the block before it."""

    @property
    def runs(self) -> bool:
        return "no-run" not in self.marks

    @property
    def file(self) -> str | None:
        """The file that it is written to."""
        found = _FILE.match(self.text.partition("\n")[0]) if self.language == "python" else None
        return found[1] if found else None

    def commands(self) -> Iterator[tuple[str, str]]:
        """Yield every command and the output below it."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            lines = part.splitlines(keepends=True)
            ends = next(n for n, line in enumerate(lines) if not line.rstrip().endswith("\\"))
            yield "".join(lines[: ends + 1]).strip(), "".join(lines[ends + 1 :])


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    found = []
    end = 0
    for fence in _FENCE.finditer(text):
        found.append(
            Block(
                language=fence[1],
                marks=tuple(fence[2].split()),
                text=fence[3],
                line=text.count("\n", 0, fence.start(3)) + 1,
                follows=bool(found) and not text[end : fence.start()].strip(),
            )
        )
        end = fence.end()
    return found


def prose(page: Path) -> str:
    """Return the page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    return [link for link in _LINK.findall(prose(page)) if not re.match(r"\w+:", link)]


def inline_code(page: Path) -> list[str]:
    return _CODE.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives the page's headings."""
    heads = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def tables(page: Path) -> dict[str, list[list[str]]]:
    """Return the rows of the tables below each heading, without their heads."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in prose(page).splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("|"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
            found.setdefault(heading, []).append(cells)
    return {heading: rows[2:] for heading, rows in found.items()}


def code(cell: str) -> str:
    """Return what a table's cell holds between its first backticks."""
    hit = _CODE.search(cell)
    assert hit, f"no `code` in the cell {cell!r}"
    return hit[1]
