"""Whether a dag was paused before a task has changed that, which a retry must not confuse with its own change."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from astro_provider.airflow_versions import task_state_store

if TYPE_CHECKING:
    from astro_provider.airflow_versions import Context

STORE_KEY = "astro_was_paused"
"""Key in Airflow's task state store (3.3 and later)."""


def store_was_paused(context: Context, dag_id: str, was_paused: bool) -> None:
    """
    Store for later tries whether the dag was paused (Airflow 3.3 and later).

    :param context: the task's context
    :param dag_id: the dag
    :param was_paused: whether it was paused
    """
    store = task_state_store(context)
    if store is not None:
        with suppress(Exception):  # a store that fails is treated like one that is missing
            store.set(STORE_KEY, {"dag_id": dag_id, "max_tries": context["ti"].max_tries, "was_paused": was_paused})


def stored_was_paused(context: Context, dag_id: str) -> bool | None:
    """
    Return what an earlier try has stored since the task was last cleared.

    :param context: the task's context
    :param dag_id: the dag
    :return: whether the dag was paused before the first try; ``None`` if no try has stored that
    """
    store, ti = task_state_store(context), context["ti"]
    if store is None or ti.try_number == 1:
        return None
    with suppress(Exception):
        stored = store.get(STORE_KEY)
        # A clear raises max_tries, and a task that was cleared finds the dag as it is then.
        if isinstance(stored, dict) and (stored["dag_id"], stored["max_tries"]) == (dag_id, ti.max_tries):
            return bool(stored["was_paused"])
    return None
