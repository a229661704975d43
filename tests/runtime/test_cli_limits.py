"""`dibs limits`, and the limits that other commands know of."""

from __future__ import annotations

import pytest

from dibs import Dibs, Limit
from tests.runtime.test_cli_queues import words
from tests.support.command import Folder


class TestLimits:
    def test_for_people(self, folder: Folder):
        said = folder.shop("limits", "list")
        assert said.out == "no limit was declared or configured\n"
        said = folder.shop("limits", "configure", "stripe", "--rate", 50, "--per", 60, "--burst", 5)
        rule = "50 per 60 s, burst 5"
        assert (said.code, said.out, said.err) == (0, f"limit stripe: {rule}\n", "")
        assert f"stripe {rule} configure 0 0" in words(folder.shop("limits", "list").out)
        assert folder.shop("limits", "show", "stripe").out == f"limit stripe: {rule}\n"
        assert folder.shop("limits", "reset", "stripe").out == "limit stripe: any number\n"

    def test_with_what_is_in_use(self, shop: Folder, app: Dibs):
        app.limits.configure("press", concurrency=1)

        @app.job(limits=[Limit(name="press", concurrency=1, key="{customer}")])
        def act(customer: str) -> None: ...

        for _ in range(2):
            act.enqueue("acme")
        assert app.jobs.get(1).reason == "limit press, key acme"
        said = shop.shop("limits", "show", "press", "--json").document
        assert said["rule"]["concurrency"] == 1
        assert "limit press, key acme" in shop.shop("jobs", "show", 1).out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "give one of --concurrency and --rate"),
            (("--concurrency", 1, "--rate", 1), "give one of --concurrency and --rate"),
            (("--concurrency", 0), "--concurrency"),
        ],
    )
    def test_bad_usage(self, folder: Folder, arguments: tuple[object, ...], message: str):
        said = folder.shop("limits", "configure", "stripe", *arguments)
        assert said.code == 2
        assert message in said.err


def test_the_concurrency_of_a_queue(folder: Folder):
    said = folder.shop("queues", "configure", "mail", "--concurrency", 3)
    assert said.out == "queue mail: strict; 3 at once\n"
    assert "mail strict; 3 at once configure" in words(folder.shop("queues", "list").out)
