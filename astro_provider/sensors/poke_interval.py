"""The interval between two checks of a sensor on a worker, in poke and reschedule mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.airflow_versions import BaseSensorOperator
from astro_provider.api.durations import FIRST_INTERVAL_SECONDS, check_interval
from astro_provider.tasks.task_state import MIN_SUSPENSION_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


class PokeIntervalMixin(BaseSensorOperator):
    """Mixin for sensors whose interval follows the age of the wait, up to ``poke_interval``."""

    def _get_next_poke_interval(
        self, started_at: datetime | float, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        """
        Choose the seconds until the next check; Airflow calls this.

        :param started_at: when the sensor began
        :param run_duration: returns the seconds since then
        :param poke_count: number of checks made by this process
        """
        if self.exponential_backoff:  # the user has chosen Airflow's intervals
            return super()._get_next_poke_interval(started_at, run_duration, poke_count)
        first = MIN_SUSPENSION_SECONDS if self.reschedule else FIRST_INTERVAL_SECONDS
        return check_interval(run_duration(), self.poke_interval, first)
