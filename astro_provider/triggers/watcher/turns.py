"""How many waits are checked in turn, whatever the lists of finished runs say. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROUND_SECONDS = 600.0
"""Seconds within which every wait is checked once, however many there are; two intervals, where those are longer."""

POLLS_PER_CHECK = 2
"""Polls for every check in turn, where there are only a few waits."""

MIN_CHECKS_WITHOUT_LISTS = 10
"""Checks per poll, at least, while lists fail and checks are answered."""


class Turns:
    """
    Counts the checks in turn.

    With ``n`` waits whose interval is ``s`` seconds, each poll is followed by ``n * s / ROUND_SECONDS`` checks, at
    least by one for every ``POLLS_PER_CHECK`` polls: half a check per poll for up to 60 waits with an interval of 5 s,
    8 for 1,000 waits, 83 for 10,000.
    """

    def __init__(self) -> None:
        self._credit = 0.0

    def due(self, elapsed: float, intervals: Mapping[float, int]) -> int:
        """
        Take the checks that are due.

        :param elapsed: seconds since this was last called
        :param intervals: how many waits have which interval
        """
        self._credit += max(self._share(elapsed, intervals), 1 / POLLS_PER_CHECK)
        due = int(self._credit)
        self._credit -= due
        return min(due, sum(intervals.values()))

    def due_without_lists(self, elapsed: float, intervals: Mapping[float, int]) -> int:
        """Say how many checks are due while no list tells what has finished."""
        return max(MIN_CHECKS_WITHOUT_LISTS, round(self._share(elapsed, intervals)))

    @staticmethod
    def _share(elapsed: float, intervals: Mapping[float, int]) -> float:
        # Less than one check per interval of each wait, even where all intervals are long.
        per_second = sum(number / max(ROUND_SECONDS, 2 * interval) for interval, number in intervals.items())
        return elapsed * per_second
