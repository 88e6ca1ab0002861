"""What earlier tries of a task that clears a run have done, stored where Airflow has a store for it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from astro_provider.airflow_versions import task_state_store
from astro_provider.tasks.planned_run import plan_run

if TYPE_CHECKING:
    from astro_provider.airflow_versions import Context

STORE_KEY = "astro_clear_dag_run"
"""Key in Airflow's task state store (3.3 and later), whose content survives retries and clears."""


@dataclass(frozen=True)
class EarlierTries:
    """
    What the tries since the task was last cleared have done.

    :param retry: whether there was such a try
    :param started_at: see ``PlannedRun``
    :param started_at_is_after_clear: see ``PlannedRun``
    :param run_id: the run that they chose; ``None`` if this is not stored
    :param cleared: whether one of them is known to have cleared that run
    """

    retry: bool
    started_at: float | None
    started_at_is_after_clear: bool
    run_id: str | None = None
    cleared: bool = False


def earlier_tries(context: Context, *, retries: int) -> EarlierTries:
    """
    Find out what earlier tries have done.

    :param context: the task's context
    :param retries: the number of retries of the task
    """
    # The planned run itself is not used, and neither is its run id, which the warning is about.
    planned = plan_run(context, given_run_id=None, retries=retries, warn=lambda _: None)
    run_id, cleared = _stored(context) if planned.retry else (None, False)
    return EarlierTries(planned.retry, planned.started_at, planned.started_at_is_after_clear, run_id, cleared)


def store_cleared_run(context: Context, run_id: str, *, cleared: bool) -> None:
    """
    Store for later tries which run this try has chosen (Airflow 3.3 and later).

    :param context: the task's context
    :param run_id: the run
    :param cleared: whether this try or an earlier one has cleared it
    """
    if (store := task_state_store(context)) is not None:
        with suppress(Exception):  # a store that fails is treated like one that is missing
            store.set(STORE_KEY, {"run_id": run_id, "cleared": cleared})


def _stored(context: Context) -> tuple[str | None, bool]:
    if (store := task_state_store(context)) is not None:
        with suppress(Exception):
            stored = store.get(STORE_KEY)
            if isinstance(stored, dict) and isinstance(run_id := stored.get("run_id"), str):
                return run_id, stored.get("cleared") is True
    return None, False
