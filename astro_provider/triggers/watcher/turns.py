"""How many checks in turn are due, whatever the lists of finished runs say. Pure."""

from __future__ import annotations

import math
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
    Counts the checks in turn: of single waits, or of as many at once as a page of a list has rows.

    With ``n`` waits whose interval is ``s`` seconds, each poll is followed by ``n * s / ROUND_SECONDS / size`` checks,
    at least by one for every ``polls`` polls. For 10,000 waits with an interval of 5 s, that is 83 checks of single
    waits, or 0.83 of a hundred waits at once.

    :param polls: polls for every check, where there are only a few waits
    """

    def __init__(self, polls: int = POLLS_PER_CHECK) -> None:
        self._polls = polls
        self._credit = 0.0
        self._window = 0.0
        self._rates = (0.0, 0.0)

    def due(self, elapsed: float, intervals: Mapping[float, int], size: float = 1) -> int:
        """
        Take the checks that are due.

        :param elapsed: seconds since this was last called
        :param intervals: how many waits have which interval
        :param size: how many waits one request checks
        """
        # Less than one check per interval of each wait, also of the few that are left of many.
        rate = min(self._rate(elapsed, intervals), _per_second(intervals, 0))
        self._credit += max(elapsed * rate / size, 1 / self._polls)
        due = int(self._credit)
        self._credit -= due
        return min(due, math.ceil(sum(intervals.values()) / size))

    def due_without_lists(self, elapsed: float, intervals: Mapping[float, int]) -> int:
        """Say how many checks are due while no list shows what has finished."""
        return max(MIN_CHECKS_WITHOUT_LISTS, round(elapsed * self._rate(elapsed, intervals)))

    def _rate(self, elapsed: float, intervals: Mapping[float, int]) -> float:
        """Go by the most waits in a round: the last ones of many that end must not wait for more than a round."""
        former, latest = self._rates
        self._window += elapsed
        if self._window >= ROUND_SECONDS:
            self._window, former, latest = 0.0, latest, 0.0
        self._rates = (former, max(latest, _per_second(intervals, ROUND_SECONDS)))
        return max(self._rates)


def _per_second(intervals: Mapping[float, int], least: float) -> float:
    return sum(number / max(least, 2 * interval) for interval, number in intervals.items())
