"""One script in many processes, which all go on at the same moment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.support.nursery import python
from tests.support.waiting import WITHIN, eventually

HERE = "here\n"
"""What a script says before it reads its input to the end; it goes on when all have said so."""


def together(script: str, folder: Path, command_lines: Sequence[Sequence[str]]) -> list[str]:
    """Run `script` once with each of these command lines; return what each said in the end."""
    outs = [folder / f"together-{number}.out" for number in range(len(command_lines))]
    errs = [path.with_suffix(".err") for path in outs]
    with ExitStack() as closing:
        reading, writing = os.pipe()
        given = closing.enter_context(os.fdopen(reading))
        go = closing.enter_context(os.fdopen(writing, "w"))
        processes = []
        for words, out, err in zip(command_lines, outs, errs, strict=True):
            with out.open("w") as its_out, err.open("w") as its_err:
                line = ("-W", "error", "-c", script, *words)
                processes.append(python(*line, stdin=given, out=its_out, err=its_err))
            closing.callback(processes[-1].kill)
        for process, out in zip(processes, outs, strict=True):
            eventually(
                lambda process=process, out=out: out.read_text() == HERE or process.poll(),
                "all to be here",
            )
        go.close()
        codes = [process.wait(WITHIN) for process in processes]
        assert codes == [0] * len(codes), [path.read_text() for path in errs]
        return [path.read_text().removeprefix(HERE) for path in outs]
