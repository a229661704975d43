"""What a job's priority may be, in words."""

from __future__ import annotations

import pytest

from dibs.model.job import PRIORITY_MAX, PRIORITY_MIN, range_in_words


@pytest.mark.parametrize(
    ("lowest", "highest", "words"),
    [
        (PRIORITY_MIN, PRIORITY_MAX, "all"),
        (10, PRIORITY_MAX, "from 10 up"),
        (PRIORITY_MIN, -1, "up to -1"),
        (-5, 10, "from -5 to 10"),
        (PRIORITY_MAX, PRIORITY_MAX, "from 32767 up"),
        (PRIORITY_MIN, PRIORITY_MIN, "up to -32768"),
    ],
)
def test_a_range_of_priorities_in_words(lowest: int, highest: int, words: str):
    assert range_in_words(lowest, highest) == words
