"""What earlier tries of a task that clears a run have done, stored where Airflow has a store for it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from astro_provider.airflow_versions import task_state_store
from astro_provider.tasks.planned_run import plan_run

if TYPE_CHECKING:
    from airflow.sdk.execution_time.context import TaskStateStoreAccessor

    from astro_provider.airflow_versions import Context

STORE_KEY = "astro_clear_dag_run"
"""Key in Airflow's task state store (3.3 and later), whose content survives retries and clears."""


@dataclass(frozen=True)
class EarlierTries:
    """
    What the tries since the task was last cleared have done.

    :param retry: whether there was such a try, and it might have cleared a run
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
    retry, run_id, cleared = planned.retry, None, False
    if retry and (store := task_state_store(context)) is not None:
        with suppress(Exception):  # a store that fails is treated like one that is missing
            run_id, cleared = _stored(store, context["ti"].max_tries)
            # Each try stores its run before it clears it. If none is stored, no try since the clear has cleared any.
            retry = run_id is not None
    return EarlierTries(retry, planned.started_at, planned.started_at_is_after_clear, run_id, cleared)


def store_cleared_run(context: Context, run_id: str, *, cleared: bool) -> None:
    """
    Store for later tries which run this try has chosen (Airflow 3.3 and later).

    :param context: the task's context
    :param run_id: the run
    :param cleared: whether this try or an earlier one has cleared it
    """
    if (store := task_state_store(context)) is not None:
        with suppress(Exception):  # a store that fails is treated like one that is missing
            store.set(STORE_KEY, {"run_id": run_id, "cleared": cleared, "max_tries": context["ti"].max_tries})


def _stored(store: TaskStateStoreAccessor, max_tries: int) -> tuple[str | None, bool]:
    stored = store.get(STORE_KEY)
    # A clear of this task raises max_tries, and what was stored before the clear stays stored.
    if isinstance(stored, dict) and stored.get("max_tries") == max_tries:
        return str(stored["run_id"]), stored["cleared"] is True
    return None, False
