"""One wait, as the watcher of its Deployment knows it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from astro_provider.api.dates import parse_date
from astro_provider.api.states import FINISHED_DAG_RUN_STATES, FINISHED_TASK_STATES
from astro_provider.api.waits import Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.errors import AstroError
    from astro_provider.api.types import DagRun, TaskInstance
    from astro_provider.api.waits import RunWait, Verdict

UNSEEN_RUN_AGE = timedelta(days=32)
"""How long ago a run that is not there yet may be due when it comes; later ones are found by looking in turn."""

_MOST_QUEUED_PAUSES = 64
"""Intervals between two looks at a run that stays queued, at most; they begin with one and double."""


class Subscription:
    """
    One wait, as the watcher knows it.

    :param wait: what is waited for
    :param poke_interval: seconds within which it must learn of what it waits for
    :param deadline: when to give up, in seconds since the epoch
    :param clock: seconds since the epoch
    :param warn: told of trouble of the target
    """

    def __init__(
        self,
        wait: RunWait,
        *,
        poke_interval: float,
        deadline: float | None,
        clock: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        self.wait = wait
        self.poke_interval = poke_interval
        self.deadline = deadline
        self.has_worked = wait.known
        self.patience = Patience(clock, has_worked=wait.known)
        self.warn = warn
        self.call = asyncio.Event()
        self.failure: Exception | None = None
        self.looks = 0
        self.told_of_lists = False
        self.look_at: float | None = None
        self.of_tasks = bool(wait.task_ids or wait.group_id)
        self._dates = {parse_date(date) for date in wait.logical_dates}
        self.due_after = min([*self._dates, datetime.fromtimestamp(clock(), timezone.utc) - UNSEEN_RUN_AGE])
        wanted = {*wait.wanted.allowed, *wait.wanted.failed, *wait.wanted.skipped}
        self._wants_unfinished = not wanted <= set(FINISHED_TASK_STATES if self.of_tasks else FINISHED_DAG_RUN_STATES)
        self._queued_pauses = 1

    def concerns(self, row: DagRun | TaskInstance) -> bool:
        """Say whether what finished may end this wait; the dag is known to be its own."""
        if self.wait.task_ids and row.get("task_id") not in self.wait.task_ids:
            return False
        if self.wait.run_id:
            return row["dag_run_id"] == self.wait.run_id
        date = row.get("logical_date")
        return self.wait.latest or (isinstance(date, str) and parse_date(date) in self._dates)

    def is_late(self, now: float) -> bool:
        """Say whether it is time to give up."""
        return self.deadline is not None and now >= self.deadline

    def is_early(self, now: float) -> bool:
        """Say whether the look that it was promised is still to come."""
        return self.look_at is not None and now < self.look_at and not self.is_late(now)

    def worked(self) -> None:
        """Note that the target has answered."""
        self.has_worked = True
        self.patience.worked()

    def warn_of(self, trouble: AstroError) -> None:
        """Tell of trouble that is survived."""
        self.warn(f"Still waiting: {trouble}")

    def looked(self, verdict: Verdict) -> float | None:
        """
        Note what a look found.

        :return: in how many seconds to look again without being called; ``None`` for in turn with all others
        """
        self.looks += 1
        run = verdict.run
        if run and not self.wait.latest and len(self._dates) < 2:
            # Airflow 2 has no run_after, and the list is bounded by the logical date there.
            self.due_after = parse_date(run["run_after"] or run["logical_date"] or self.due_after.isoformat())
        if self._wants_unfinished:
            return self.poke_interval
        if self.wait.known and run and run["state"] == "queued":
            pauses, self._queued_pauses = self._queued_pauses, min(2 * self._queued_pauses, _MOST_QUEUED_PAUSES)
            return self.poke_interval * pauses
        return None
