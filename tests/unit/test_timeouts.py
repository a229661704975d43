"""Whose word on a time limit counts, and what it is when it was exceeded."""

from __future__ import annotations

from itertools import product

import pytest

from dibs import ConfigurationError, Retry
from dibs.model.queues import QueuePolicy, policy_from_json, policy_to_json
from dibs.model.sizes import in_megabytes, size
from dibs.model.timeouts import time_limit, timed_out

WORDS = (None, 0, 1, 2)


@pytest.mark.parametrize(("job", "kind", "queue"), [*product(WORDS, repeat=3)])
def test_the_first_who_says_something_counts(job: int | None, kind: int | None, queue: int | None):
    said = [word for word in (job, kind, queue) if word is not None]
    expected = said[0] if said else 0
    assert (time_limit(job, kind, queue) or 0) == expected
    assert time_limit(job, kind, queue) != 0


def test_rules_of_retries_see_a_timeout_error():
    failure = timed_out(1_500_000)
    assert failure.message == "it took longer than its timeout of 1.5 s"
    assert Retry(give_up_on=[TimeoutError]).gives_up(failure.errors)
    assert not Retry(retry_on=[OSError]).gives_up(failure.errors)  # as in Python
    assert Retry(retry_on=[ValueError]).gives_up(failure.errors)


class TestPolicy:
    def test_is_stored_and_read(self):
        for timeout in (0.001, 30, 86_400, 1 / 3):
            policy = QueuePolicy(timeout=timeout)
            assert policy_from_json(policy_to_json(policy)) == policy
            assert policy.limit == round(timeout * 1_000_000)

    def test_leaves_the_order_as_it_is(self):
        assert QueuePolicy(timeout=30).strict
        assert str(QueuePolicy(timeout=30)) == "strict; timeout 30 s"
        assert str(QueuePolicy(weights={0: 1}, timeout=0.5)) == "weights 0=1; timeout 0.5 s"

    @pytest.mark.parametrize("timeout", [0, -1, "30", float("nan"), True])
    def test_refuses_what_is_no_length_of_time(self, timeout: object):
        with pytest.raises(ConfigurationError, match="timeout="):
            QueuePolicy(timeout=timeout)  # type: ignore[arg-type]


class TestSizes:
    @pytest.mark.parametrize(
        ("written", "bytes_"),
        [
            (1, 1), ("1", 1), ("512MB", 512 * 2**20), ("512 MiB", 512 * 2**20), ("2g", 2 * 2**30),
            ("1.5G", 3 * 2**29), ("64k", 2**16), ("100B", 100),
        ],
    )  # fmt: skip
    def test_are_read(self, written: int | str, bytes_: int):
        assert size(written, "max_memory") == bytes_

    @pytest.mark.parametrize("written", [0, -1, True, 1.5, "", "MB", "1TB", "1e9", "-1MB", None])
    def test_refuse_what_is_none(self, written: object):
        with pytest.raises(ConfigurationError, match="max_memory="):
            size(written, "max_memory")  # type: ignore[arg-type]

    def test_are_shown(self):
        assert [in_megabytes(n) for n in (2**20, 100 * 2**20 + 2**18, 3 * 2**30)] == [
            "1 MB", "100.2 MB", "3072 MB",
        ]  # fmt: skip
