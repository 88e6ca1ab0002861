"""One wait, as the watcher of its Deployment knows it."""

from __future__ import annotations

import asyncio
import contextvars
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from astro_provider.api.dates import parse_date
from astro_provider.api.errors import UnexpectedAnswerError
from astro_provider.api.states import FINISHED_DAG_RUN_STATES, FINISHED_TASK_STATES
from astro_provider.waits.hints import Hints
from astro_provider.waits.loop import Progress, still_waiting
from astro_provider.waits.transient import Tolerance

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.types import DagRun
    from astro_provider.waits.wait import RunWait, Verdict

MAX_UNSEEN_RUN_AGE = timedelta(days=32)
"""How long ago a run that is not there yet may be due when it comes; later ones are found by checks in turn."""


class Subscription:
    """
    One wait, as the watcher knows it.

    :param wait: what is waited for
    :param poke_interval: seconds within which it must learn of what it waits for
    :param deadline: when to give up, in seconds since the epoch
    :param clock: seconds since the epoch
    :param on_change: called with every verdict that differs from the one before
    :param warn: called with warnings, in the context in which this is made: Airflow routes the log by context variables
    """

    def __init__(
        self,
        wait: RunWait,
        *,
        poke_interval: float,
        deadline: float | None,
        clock: Callable[[], float],
        on_change: Callable[[Verdict], None],
        warn: Callable[[str], None],
    ) -> None:
        self.wait = wait
        self.poke_interval = poke_interval
        self.deadline = deadline
        self.has_answered = wait.must_exist
        self.tolerance = Tolerance(clock, has_answered=wait.must_exist)
        self.progress = Progress(on_change, self.warn, Hints(clock))
        self.wake = asyncio.Event()
        self.checks = 0
        self.check_at: float | None = None
        self.waits_for_tasks = wait.waits_for_tasks
        self.dates = {parse_date(date) for date in wait.logical_dates}
        self.due_after = min([*self.dates, datetime.fromtimestamp(clock(), timezone.utc) - MAX_UNSEEN_RUN_AGE])
        self.run_id = wait.run_id
        """The run, if only one is waited for and it is known which."""
        self.state: str | None = None
        """The state, or states, that its last check has found."""
        self.is_listable = False
        """Whether a list of unfinished runs, or of task instances, can check it: one run, seen, and not over."""
        self.is_warned_of_outage = False
        self.is_warned_of_lists = False
        self._warn = warn
        self._context = contextvars.copy_context()
        finished = FINISHED_TASK_STATES if self.waits_for_tasks else FINISHED_DAG_RUN_STATES
        self._waits_for_unfinished = not set(wait.end_states.all) <= set(finished)

    def is_late(self, now: float) -> bool:
        """Say whether it is time to give up."""
        return self.deadline is not None and now >= self.deadline

    def is_early(self, now: float) -> bool:
        """Say whether the check that it was promised is still to come."""
        return self.check_at is not None and now < self.check_at and not self.is_late(now)

    def note_answer(self) -> None:
        """Note that the target has answered."""
        self.has_answered = True
        self.tolerance.note_answer()

    def warn(self, message: str) -> None:
        """Warn in the log of the task that waits, whoever calls this."""
        # A copy, as a context can be entered only once at a time.
        self._context.copy().run(self._warn, message)

    def warn_of_outage(self, error: Exception) -> None:
        """Warn of an error that is tolerated, once until the target answers again."""
        if not self.is_warned_of_outage:
            self.is_warned_of_outage = True
            self.warn(still_waiting(error))

    def checked(self, verdict: Verdict) -> float | None:
        """
        Note what a check found.

        :return: in how many seconds to check again without being woken; ``None`` for in turn with all others
        """
        self.checks += 1
        self.state = verdict.state
        self.is_listable = False
        run = verdict.run
        if not self.wait.latest and len(self.dates) < 2:
            self._note(run)
        if self._waits_for_unfinished:
            return self.poke_interval
        # A run that stays queued until then may be one of a paused dag.
        is_queued = self.wait.must_exist and run and run["state"] == "queued"
        return self.poke_interval if is_queued and self.checks == 1 else None

    def _note(self, run: DagRun | None) -> None:
        self.run_id = self.wait.run_id or (run["dag_run_id"] if run else None)
        # Airflow 2 has no run_after, and the list is bounded by the logical date there.
        if run and (due := run["run_after"] or run["logical_date"]):
            try:
                self.due_after = parse_date(due)
            except UnexpectedAnswerError:  # the list reaches back further, that is all
                return
            is_over = not self.waits_for_tasks and run["state"] in FINISHED_DAG_RUN_STATES
            self.is_listable = not (self._waits_for_unfinished or self.wait.group_id or is_over)
