"""`dibs enqueue` with keys."""

from __future__ import annotations

import pytest

from tests.support.command import Folder

NOTE = ("enqueue", "note", '{"word": "hi"}')


@pytest.mark.parametrize(
    "options",
    [("--unique",), ("--unique-key", "a {b}"), ("--idempotency-key", "call 1")],
    ids=lambda options: options[0],
)
def test_the_second_is_the_first(folder: Folder, options: tuple[str, ...]):
    first, second = (folder.shop(*NOTE, *options, "--json").document for _ in range(2))
    assert (first["duplicate"], second["duplicate"]) == (False, True)
    assert first["id"] == second["id"]
    said = folder.shop(*NOTE, *options).out
    assert said.startswith(f"job {first['id']} is ready: note,")
    assert said.endswith("; it was there before: its key is held\n")
    assert folder.shop(*NOTE, "--not-unique", "--json").document["id"] != first["id"]


def test_a_contradiction_is_bad_usage(folder: Folder):
    ended = folder.shop(*NOTE, "--not-unique", "--unique-key", "a")
    assert ended.code == 2
    assert "--unique-key and --not-unique: give one of them" in ended.err
