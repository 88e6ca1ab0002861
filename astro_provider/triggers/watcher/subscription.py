"""One wait, as the watcher of its connection knows it."""

from __future__ import annotations

import asyncio
import contextvars
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from astro_provider.api.dates import parse_date
from astro_provider.api.durations import check_interval
from astro_provider.api.errors import UnexpectedAnswerError
from astro_provider.api.message import dag_subject
from astro_provider.api.states import FINISHED_DAG_RUN_STATES, FINISHED_TASK_STATES
from astro_provider.waits.hints import Hints
from astro_provider.waits.loop import Progress, answers_again, still_waiting
from astro_provider.waits.transient import Tolerance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from astro_provider.api.client import Client
    from astro_provider.api.types import DagRun
    from astro_provider.waits.wait import RunWait, Verdict

MAX_UNSEEN_RUN_AGE = timedelta(days=32)
"""
How far back polls look for a run that no check of its wait has found yet, by its ``run_after`` (on Airflow 2, by its
logical date).

Polls look back for this time from the beginning of the wait, or to its earliest logical date if that is earlier. Only
periodic checks find older runs.
"""


class Subscription:
    """
    One wait, as the watcher of its connection knows it.

    ``Watcher.watch`` creates a subscription, checks it, and sleeps until ``wake`` is called: after a poll, for a
    periodic check, or at the deadline.

    :param wait: the wait
    :param poke_interval: the longest interval between two polls in seconds
    :param deadline: when to give up, in seconds since the epoch; ``None`` for never
    :param started_at: when the wait began, in seconds since the epoch; ``None`` for now
    :param clock: returns the time in seconds since the epoch
    :param on_change: called with the verdict of the first check, and with every verdict that differs from the one
        before
    :param warn: called with warnings, with the context variables of the caller of this constructor, because Airflow
        finds the log of a task by context variables
    """

    def __init__(
        self,
        wait: RunWait,
        *,
        poke_interval: float,
        deadline: float | None,
        started_at: float | None,
        clock: Callable[[], float],
        on_change: Callable[[Verdict], None],
        warn: Callable[[str], None],
    ) -> None:
        self.wait = wait
        self.poke_interval = poke_interval
        self.deadline = deadline
        self.started_at = clock() if started_at is None else started_at
        self.has_answered = wait.must_exist
        """Whether the target is known to have answered this wait before."""
        self.tolerance = Tolerance(clock, has_answered=wait.must_exist)
        self.progress = Progress(on_change, Hints(clock))
        self.woken = asyncio.Event()
        """Set when the coroutine of the wait is to check again, or to give up."""
        self.check_count = 0
        """Number of checks that the target has answered."""
        self.check_at: float | None = None
        """When the wait is checked even if nothing wakes it before, in seconds since the epoch; ``None`` for never."""
        self.waits_for_tasks = wait.waits_for_tasks
        self.logical_dates = {parse_date(date) for date in wait.logical_dates}
        self.logical_date_range = tuple(parse_date(date) for date in wait.logical_date_range)
        oldest = datetime.fromtimestamp(clock(), timezone.utc) - MAX_UNSEEN_RUN_AGE
        self.due_after = min([*self.logical_dates, *self.logical_date_range, oldest])
        """Lower bound of the dates (``run_after``; logical date in Airflow 2) of the runs that polls list for the wait.
        Once a check has found the run of a wait for a single run, it is the date at which this run is due."""
        self.run_id = wait.run_id
        """The run id, if the wait is for a single run and its id is known."""
        self.state: str | None = None
        """The state of the run, or the states of the tasks, at the last check; ``None`` before the first one."""
        self.run_count = 0
        """Number of runs in the range of the wait at the last check."""
        self.can_be_batched = False
        """Whether the wait can be checked in a batch: it is for a single run or for tasks of a single run, the last
        check has found this run, and only finished states end the wait. A wait for a task group, or for a run that has
        finished, cannot. A wait for the runs in a range can, whether they exist or not."""
        self.is_warned_of_outage = False
        """Whether ``warn_of_outage`` has warned since the target last answered."""
        self.is_warned_of_lists = False
        """Whether ``warn`` was called because the token is not allowed to list across dags."""
        self._clock = clock
        self._warn = warn
        self._context = contextvars.copy_context()
        finished_states = FINISHED_TASK_STATES if self.waits_for_tasks else FINISHED_DAG_RUN_STATES
        self._has_unfinished_end_state = not set(wait.end_states.all) <= set(finished_states)

    @property
    def can_be_listed(self) -> bool:
        """Whether the row of an unfinished run, or the rows of a range, can replace the first check."""
        wait = self.wait
        is_for_listed_runs = wait.waits_for_one_run or bool(wait.logical_date_range)
        return is_for_listed_runs and not (self.waits_for_tasks or wait.check_existence)

    def current_interval(self, now: float) -> float:
        """
        Return the interval between two polls, which grows with the age of the wait.

        :param now: seconds since the epoch
        """
        return check_interval(now - self.started_at, self.poke_interval)

    def wake(self) -> None:
        """Resume the coroutine of the wait, which then checks again, or gives up if its deadline has passed."""
        self.woken.set()

    def is_past_deadline(self, now: float) -> bool:
        """
        Decide whether it is time to give up.

        :param now: seconds since the epoch
        """
        return self.deadline is not None and now >= self.deadline

    def note_answer(self) -> None:
        """Note that the target has answered."""
        self.has_answered = True
        self.tolerance.note_answer()

    def warn(self, message: str) -> None:
        """
        Log a warning in the log of the waiting task, whichever task of the event loop calls this.

        :param message: the warning
        """
        # A copy, because a context cannot be entered twice at the same time.
        self._context.copy().run(self._warn, message)

    def warn_of_outage(self, error: Exception) -> None:
        """
        Log that the wait tolerates an error, once until the target answers again.

        :param error: the error
        """
        if not self.is_warned_of_outage:
            self.is_warned_of_outage = True
            self.warn(still_waiting(dag_subject(self.wait.dag_id), error))

    def note_end_of_outage(self, deployment: str) -> None:
        """
        Log that the target answers again if the wait has warned of an outage, unless its own checks still fail.

        :param deployment: the target
        """
        if self.is_warned_of_outage and not self.tolerance.is_tolerating:
            self.is_warned_of_outage = False
            self.warn(answers_again(dag_subject(self.wait.dag_id), deployment))

    def note_run(self, client: Client, run: DagRun) -> Verdict | None:
        """
        Report the state of a run in the log of the waiting task, if it shows that the wait goes on.

        :param client: the target
        :param run: the run as the target has just described it, which is a run that the wait is for
        :return: the verdict; ``None`` if only a check can decide
        """
        return self._noted(self._context.copy().run(self.progress.note_run, client, self.wait, run))

    def note_listed(self, client: Client, runs: list[DagRun]) -> Verdict | None:
        """
        Report the states of the runs in the range in the log of the waiting task, if they show that the wait goes on.

        :param client: the target
        :param runs: all runs in the range, as the target has just described them
        :return: the verdict; ``None`` if only a check can decide
        """
        return self._noted(self._context.copy().run(self.progress.note_listed, client, self.wait, runs))

    def _noted(self, verdict: Verdict | None) -> Verdict | None:
        if verdict is not None:
            self.note_answer()
        return verdict

    def note_verdict(self, verdict: Verdict) -> float | None:
        """
        Note the result of a check.

        :param verdict: the result
        :return: seconds until this wait must be checked again even if nothing wakes it; ``None`` if periodic checks are
            enough
        """
        self.check_count += 1
        self.state = verdict.state
        self.can_be_batched = False
        run = verdict.run
        if self.wait.waits_for_one_run:
            self._note_run(run)
        elif self.wait.logical_date_range:
            self.run_count = verdict.run_count
            self.can_be_batched = not (self.waits_for_tasks or self._has_unfinished_end_state)
        return self.current_interval(self._clock()) if self._has_unfinished_end_state else None

    def _note_run(self, run: DagRun | None) -> None:
        self.run_id = self.wait.run_id or (run["dag_run_id"] if run else None)
        # Airflow 2 has no run_after; its lists are bounded by the logical date.
        if run and (due := run["run_after"] or run["logical_date"]):
            try:
                self.due_after = parse_date(due)
            except UnexpectedAnswerError:  # the earlier date only makes lists longer
                return
            is_over = not self.waits_for_tasks and run["state"] in FINISHED_DAG_RUN_STATES
            self.can_be_batched = not (self._has_unfinished_end_state or self.wait.group_id or is_over)


def wake_all(subscriptions: Iterable[Subscription]) -> None:
    """
    Wake several waits.

    :param subscriptions: the waits
    """
    for subscription in subscriptions:
        subscription.wake()
