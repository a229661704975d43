"""House rules that no linter knows."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
LONGEST = 300


def test_there_are_sources():
    assert SOURCES


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
class TestEverySourceFile:
    def test_is_short(self, path: Path):
        lines = len(path.read_text().splitlines())
        assert lines <= LONGEST, f"{lines} lines: split it by subject"

    def test_says_what_it_is_for(self, path: Path):
        assert ast.get_docstring(ast.parse(path.read_text())), "no docstring at the top"
