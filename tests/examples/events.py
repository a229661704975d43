"""The events that the source logs, read from its calls of `log_event`, also by way of a wrapper."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from dibs.services.base import Service

Function = ast.FunctionDef | ast.AsyncFunctionDef


def loop_names() -> set[str]:
    return {loop.name for loop in Service.__subclasses__()}


def events(source: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield a pattern of the names, and the fields, of every event that is logged."""
    for path in sorted(source.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        wrapped: set[ast.Call] = set()
        for wrapper in ast.walk(tree):
            if isinstance(wrapper, Function):
                names = [argument.arg for argument in wrapper.args.args]
                for call in calls(wrapper, "log_event"):
                    event = call.args[2]
                    if isinstance(event, ast.Name) and event.id in names:
                        wrapped.add(call)
                        place = names.index(event.id)
                        for outer in calls(tree, wrapper.name):
                            yield from logged(tree, outer, outer.args[place])
        for call in calls(tree, "log_event"):
            if call not in wrapped:
                yield from logged(tree, call, call.args[2])


def calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
            yield node


def logged(tree: ast.AST, call: ast.Call, event: ast.expr) -> Iterator[tuple[str, set[str]]]:
    fields = {keyword.arg for keyword in call.keywords if keyword.arg}
    for pattern in patterns(tree, event):
        yield pattern, fields


def patterns(tree: ast.AST, event: ast.expr) -> Iterator[str]:
    """Yield what matches the names that an expression can stand for."""
    if isinstance(event, ast.Constant):
        yield re.escape(str(event.value))
    elif isinstance(event, ast.IfExp):
        yield from patterns(tree, event.body)
        yield from patterns(tree, event.orelse)
    elif isinstance(event, ast.Name):
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == event.id:
                yield from patterns(tree, node.value)
    else:
        assert isinstance(event, ast.JoinedStr), f"cannot tell the event {ast.unparse(event)}"
        yield "".join(map(piece, event.values))


def piece(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return re.escape(str(part.value))
    assert isinstance(part, ast.FormattedValue)
    return f"(?:{'|'.join(loop_names())})" if ast.unparse(part.value) == "self.name" else r"\w+"
