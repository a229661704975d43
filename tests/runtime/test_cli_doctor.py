"""`dibs doctor`: what it prints, and its exit code."""

from __future__ import annotations

import json

from tests.support.command import Folder


def test_warnings_alone_leave_the_exit_code_0(shop: Folder):
    assert shop.shop("migrate").code == 0
    text = shop.shop("doctor")
    assert (text.code, text.err) == (0, "")
    lines = text.out.splitlines()
    assert lines[0].split()[:2] == ["warning", "workers"]
    assert lines[1].strip().startswith("-> start one: dibs ")
    assert lines[-1].startswith("1 warning, ")
    found = shop.shop("doctor", "--json").document
    assert set(found) == {"at", "database", "findings"}
    assert found["findings"][0] == {
        "code": "workers",
        "level": "warning",
        "message": "no worker is alive, and 0 jobs could run",
        "advice": "start one: dibs --app module:attribute worker",
    }


def test_a_problem_makes_it_1(folder: Folder):
    for url in ("sqlite:///nowhere/dibs.db", "postgresql://postgres@127.0.0.1:1/dibs"):
        text = folder.run("doctor", "--url", url)
        assert (text.code, text.err) == (1, "")
        assert text.out.startswith("problem  database ")
        ended = folder.run("doctor", "--url", url, "--json")
        assert (ended.code, ended.err) == (1, "")
        assert json.loads(ended.out)["findings"][0]["level"] == "problem"
