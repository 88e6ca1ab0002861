"""The run that a task creates, with the run id that all its tries since it was last cleared use."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import BASE_URL_SECTION, UNSET_BASE_URL, conf, task_state_store
from astro_provider.run_id import first_try_number, remote_run_id
from astro_provider.tasks.caller_note import task_note

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from astro_provider.airflow_versions import Context

STORE_KEY = "astro_trigger_dag_run"
"""
Key in Airflow's task state store (3.3 and later), whose content survives retries and clears.

The triggerer cannot use that store. A try that starts in the triggerer therefore stores the same fields in an XCom with
this key, which a later try on a worker reads.
"""

_STORED_FIELDS = {"first_try", "last_try", "max_tries", "clear_number", "began"}


@dataclass(frozen=True)
class PlannedRun:
    """
    The run that a task creates or has created.

    :param run_id: its run id
    :param derived: whether the run id is derived from the task, so that no other task uses it
    :param note: its note, unless the user gives one
    :param retry: whether this try is not the first one since the task was last cleared
    :param started_at: start of the first try since the last clear or, if that is not stored, start of the triggering
        dag run; in seconds since the epoch, ``None`` if unknown
    :param started_at_is_after_clear: whether ``started_at`` is later than the last clear of the task, if any. If not, a
        run that was created after ``started_at`` might be from before the clear
    :param run_ids_before_clear: the run ids that were derived from this task before it was last cleared
    :param attached: whether an earlier try attached to the run instead of creating it; ``None`` if no try stored this
    :param attached_to: the id of the run that an earlier try attached to, if a try stored it
    :param restarted: whether this try has started before, in a triggerer that was stopped or has lost its triggers
    """

    run_id: str
    derived: bool
    note: str
    retry: bool
    started_at: float | None
    started_at_is_after_clear: bool
    run_ids_before_clear: frozenset[str]
    attached: bool | None = None
    attached_to: str | None = None
    restarted: bool = False


def plan_run(context: Context, *, given_run_id: str | None, retries: int, warn: Callable[[str], None]) -> PlannedRun:
    """
    Derive which run this try creates, and store it for later tries.

    A retry uses the run id of the try before it; the first try after a clear uses another one. Airflow 3.3 and later
    store the number of the first try in the task state store. Earlier versions derive it from ``retries`` in each try
    (see :func:`astro_provider.run_id.first_try_number`). There, a try after a change of ``retries`` can derive another
    number, and therefore another run id.

    :param context: the task's context
    :param given_run_id: the run id that the user chose; ``None`` to derive it
    :param retries: the number of retries of the task
    :param warn: called with a message for the user
    """
    ti = context["ti"]
    dag_run = context["dag_run"]
    clear_number = getattr(dag_run, "clear_number", None)
    stored = _stored(context)
    first_try, is_stored = _first_try(stored, ti, retries, clear_number)
    # If retries is lowered after a clear, first_try is too high, but last_try shows that this try is a retry. Example:
    # A task with 2 retries is cleared after try 3, which sets max_tries to 5; retries is then lowered to 1. Try 4 has
    # first_try = 5 - 1 + 1 = 5, and stores it with last_try = 4. Try 5 is not above first_try, but above last_try.
    retry = ti.try_number > (min(first_try, stored["last_try"]) if is_stored else first_try)
    if not retry:
        started_at, is_after_clear = _seconds(getattr(ti, "start_date", None)), True
    elif is_stored and stored["began"] is not None:
        started_at, is_after_clear = stored["began"], True
    else:
        # All tries start after the triggering dag run, also those before a clear. If the task was cleared (first_try is
        # above 1), a remote run that was created since then can therefore be one from before the clear.
        started_at, is_after_clear = _seconds(dag_run.start_date), first_try == 1
    attached = stored.get("attached") if is_stored else None
    attached_to = stored.get("attached_to") if is_stored else None
    _store(
        context,
        {
            "first_try": first_try,
            "last_try": ti.try_number,
            "max_tries": ti.max_tries,
            "clear_number": clear_number,
            "began": started_at if is_after_clear else None,
            "attached": attached,
            "attached_to": attached_to,
        },
    )
    task = _run_id_parts(ti, warn)
    return PlannedRun(
        run_id=given_run_id or remote_run_id(**task, first_try=first_try),
        derived=not given_run_id,
        note=task_note(ti, task["deployment"]),
        retry=retry,
        started_at=started_at,
        started_at_is_after_clear=is_after_clear,
        run_ids_before_clear=frozenset(remote_run_id(**task, first_try=number) for number in range(1, first_try)),
        attached=attached,
        attached_to=attached_to,
    )


def plan_first_try(
    context: Context,
    *,
    given_run_id: str | None,
    stored: Mapping[str, Any] | None,
    restarted: bool,
    warn: Callable[[str], None],
) -> PlannedRun:
    """
    Derive which run the first try of a task creates in the triggerer, where ``max_tries`` is not known.

    :param context: the task's context
    :param given_run_id: the run id that the user chose; ``None`` to derive it
    :param stored: what :func:`fields_of_first_try` returned when this try started; ``None`` if nothing was stored
    :param restarted: whether that was an earlier start of this try
    :param warn: called with a message for the user
    """
    task = _run_id_parts(context["ti"], warn)
    return PlannedRun(
        run_id=given_run_id or remote_run_id(**task, first_try=1),
        derived=not given_run_id,
        note=task_note(context["ti"], task["deployment"]),
        retry=False,
        # Before the first try, the task was not cleared, so that a run of the start of the dag run or later is new.
        started_at=stored["began"] if stored else _seconds(context["dag_run"].start_date),
        started_at_is_after_clear=True,
        run_ids_before_clear=frozenset(),
        attached=stored["attached"] if stored else None,
        attached_to=stored.get("attached_to") if stored else None,
        restarted=restarted,
    )


def fields_of_first_try(
    *, retries: int, began: float, attached: bool | None, attached_to: str | None
) -> dict[str, Any]:
    """
    Make the fields that a first try in the triggerer stores, for a later start of the same try and for later tries.

    :param retries: the number of retries of the task
    :param began: when the try started, in seconds since the epoch
    :param attached: whether the try attached to a run that it did not create; ``None`` if this is not known yet
    :param attached_to: the id of that run
    """
    return {
        "first_try": 1,
        "last_try": 1,
        "max_tries": retries,
        "clear_number": None,  # not known in the triggerer
        "began": began,
        "attached": attached,
        "attached_to": attached_to,
    }


def store_attached(context: Context, run_id: str, *, attached: bool) -> None:
    """
    Store for later tries whether this try attached to a run that it did not create (Airflow 3.3 and later).

    :param context: the task's context
    :param run_id: the run
    :param attached: whether it attached to the run; otherwise, it created or reset the run
    """
    if stored := _stored(context):
        _store(context, {**stored, "attached": attached, "attached_to": run_id if attached else None})


def _first_try(stored: dict[str, Any], ti: Any, retries: int, clear_number: int | None) -> tuple[int, bool]:
    """Return the number of the first try since the task was last cleared, and whether it comes from the store."""
    derived = first_try_number(ti.max_tries, retries)
    if not stored:
        return derived, False
    # If this task is cleared, Airflow sets max_tries to the number of the last try plus retries. If any task of the dag
    # run is cleared, Airflow raises the run's clear number. If only the clear number has changed, the derived number
    # shows which task was cleared. Example: try 1 with 2 retries stores max_tries = 2 and first_try = 1.
    # - Another task is cleared: max_tries is still 2, and the derived number still 2 - 2 + 1 = 1.
    # - retries is lowered to 1, then this task is cleared: max_tries is again 1 + 1 = 2, but the derived number is 2.
    if stored["max_tries"] == ti.max_tries and (
        stored["clear_number"] == clear_number or stored["first_try"] == derived
    ):
        return stored["first_try"], True
    # If retries is raised after the clear, the derived number can be that of a try before the clear. Example: a task
    # without retries is cleared after try 1, which sets max_tries to 1, and retries is raised to 3. The number that
    # try 2 derives is 1, the minimum.
    return (derived if derived > stored["last_try"] else ti.try_number), False


def _stored(context: Context) -> dict[str, Any]:
    store, ti = task_state_store(context), context["ti"]
    if store is None:
        return {}
    with suppress(Exception):  # a store that fails is treated like one that is missing
        stored = store.get(STORE_KEY)
        if stored is None and ti.try_number > 1 and ti.map_index in (None, -1):
            stored = ti.xcom_pull(task_ids=ti.task_id, key=STORE_KEY)
        if isinstance(stored, dict) and set(stored) >= _STORED_FIELDS:
            return stored
    return {}


def _store(context: Context, fields: dict[str, Any]) -> None:
    store = task_state_store(context)
    if store is not None:
        with suppress(Exception):
            store.set(STORE_KEY, fields)


def _seconds(date: datetime | None) -> float | None:
    if date is None:
        return None
    from datetime import timezone

    return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()


def _run_id_parts(ti: Any, warn: Callable[[str], None]) -> dict[str, Any]:
    """Return the arguments of ``remote_run_id`` for a task, without the number of its first try."""
    return {
        "deployment": this_deployment(warn),
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": -1 if ti.map_index is None else ti.map_index,
    }


def this_deployment(warn: Callable[[str], None]) -> str:
    """Return the URL of the triggering Deployment's UI, which Astro configures."""
    url: str = conf.get(BASE_URL_SECTION, "base_url", fallback="") or ""
    if url == UNSET_BASE_URL:
        warn(
            f"[{BASE_URL_SECTION}] base_url of this Deployment is not set. If another Deployment without it has a task "
            "with the same id, in a dag and a dag run with the same ids, each of the two tasks takes the remote run of "
            "the other for its own."
        )
    return url
