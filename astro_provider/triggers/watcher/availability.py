"""Whether a target answers lists and checks, and therefore how much a watcher requests of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api.errors import NotFoundError
from astro_provider.triggers.watcher.periodic_check_rate import POLLS_PER_CHECK
from astro_provider.waits.transient import Tolerance

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.errors import AstroError


class Availability:
    """
    Whether a target answers the lists and the checks of one feed.

    * Lists succeed: the watcher lists at every poll, and makes a few periodic checks.
    * ``only_lists_fail``: the watcher makes many periodic checks, and lists at every other poll.
    * ``is_down``: neither lists nor checks succeed. The watcher alternately sends a list and
      a check, one request per poll.
    * Lists fail with an error that is not tolerated any longer, such as a refused token: each wait is checked, and
      its own check ends it.

    The poller calls ``note_list`` and ``note_failed_list``, the checker ``note_check`` and ``note_failed_check``.

    :param clock: returns the time in seconds since the epoch
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.lists_fail = False
        """Whether the last list failed."""
        self._checks_succeed = False  # whether the last check succeeded; kept only while lists fail
        self._is_error_final = False  # whether the error of the last list is not tolerated any longer
        self._has_answered = False
        self._tolerance = Tolerance(clock)
        self._poll_count = 0

    @property
    def only_lists_fail(self) -> bool:
        """Whether lists fail, and checks succeed."""
        return self.lists_fail and self._checks_succeed

    @property
    def is_down(self) -> bool:
        """Whether neither lists nor checks succeed, and the error might pass by itself."""
        return self.lists_fail and not self._checks_succeed and not self._is_error_final

    @property
    def is_turn_of_checks(self) -> bool:
        """Whether the current poll, while lists fail, makes a check instead of a list."""
        return self._poll_count % POLLS_PER_CHECK == 0

    def count_poll(self) -> None:
        """Note that a poll begins."""
        self._poll_count += 1

    @property
    def should_list(self) -> bool:
        """Whether this poll lists what has finished; while lists fail, only every other poll does."""
        return not (self.lists_fail and self.is_turn_of_checks)

    def tolerates(self, error: AstroError) -> bool:
        """
        Decide whether an error of a list or a check is tolerated.

        :param error: the error. A 404 is always tolerated, because it concerns one wait only. A refusal is tolerated
            for a limited time after the last answer to any wait (see ``Tolerance``)
        """
        return isinstance(error, NotFoundError) or self._tolerance.tolerates(error, lambda _: None)

    def note_earlier_answer(self) -> None:
        """Note that the target is known to have answered before this watcher began."""
        if not self._has_answered:
            self._note_answer()

    def note_list(self) -> None:
        """Note that a list has succeeded."""
        self.lists_fail = self._is_error_final = False
        self._note_answer()

    def note_failed_list(self, *, tolerated: bool) -> bool:
        """
        Note that a list has failed.

        :param tolerated: whether the error might pass by itself
        :return: whether the list before had succeeded
        """
        is_first = not self.lists_fail
        if is_first:
            self._checks_succeed = False  # checks that succeeded before the outage do not count
        self.lists_fail = True
        self._is_error_final = not tolerated
        return is_first

    def note_check(self) -> None:
        """Note that the check of a wait has succeeded."""
        self._checks_succeed = True
        self._is_error_final = False
        self._note_answer()

    def note_failed_check(self) -> None:
        """Note that the check of a wait has failed."""
        self._checks_succeed = False

    def _note_answer(self) -> None:
        self._has_answered = True
        self._tolerance.note_answer()
