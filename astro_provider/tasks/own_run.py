"""The run id that all tries of a task since it was last cleared use."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import BASE_URL_SECTION, UNSET_BASE_URL, conf, task_state_store
from astro_provider.api.template_values import is_empty
from astro_provider.run_id import first_try_number, remote_run_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from astro_provider.airflow_versions import Context

STORE_KEY = "astro_trigger_dag_run"
"""Key in Airflow's task state store (3.3 and up), which survives tries and clears."""


@dataclass(frozen=True)
class OwnRun:
    """
    The run that a task creates, or has created.

    :param run_id: its id
    :param derived: whether the id is derived from the task, so that nobody else uses it
    :param retry: whether this is not the task's first try since it was last cleared
    :param began: when that first try began, in seconds since the epoch, or a time before; ``None`` if neither is known
    :param exact: whether it began then, and not later
    :param before_clear: the run ids that were derived from this task before it was last cleared
    :param attached: whether an earlier try has attached to the run, which it did not create; ``None`` if that is not
        known
    """

    run_id: str
    derived: bool
    retry: bool
    began: float | None
    exact: bool
    before_clear: frozenset[str]
    attached: bool | None = None


def own_run(context: Context, *, given_run_id: str | None, retries: int, warn: Callable[[str], None]) -> OwnRun:
    """
    Find out which run this try creates, and note it before it does.

    A retry uses the run id of the try before, a try after a clear another one. Up to Airflow 3.2, the two can only be
    told apart by the number of retries (see :func:`astro_provider.run_id.first_try_number`), so that the run id is
    another one when ``retries`` is changed between two tries. On Airflow 3.3 and up, a note in the task state store
    tells.

    :param context: the task's context
    :param given_run_id: the run id that the user gave; derived where it is empty
    :param retries: of the task
    :param warn: called with what the user should know
    """
    ti = context["ti"]
    dag_run = context["dag_run"]
    clear_number = getattr(dag_run, "clear_number", None)
    noted = _noted(context)
    first_try, same = _first_try(noted, ti, retries, clear_number)
    # Where retries were lowered since the clear, the derived number is too high.
    retry = ti.try_number > (min(first_try, noted["last_try"]) if same else first_try)
    if not retry:
        began, exact = _seconds(getattr(ti, "start_date", None)), True
    elif same and noted["began"] is not None:
        began, exact = noted["began"], True
    else:
        # After a clear, the run of the triggering dag may have begun long before.
        began, exact = _seconds(dag_run.start_date), first_try == 1
    identity: dict[str, Any] = {
        "deployment": _this_deployment(warn),
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": -1 if ti.map_index is None else ti.map_index,
    }
    note: dict[str, Any] = {
        "first_try": first_try,
        "last_try": ti.try_number,
        "max_tries": ti.max_tries,
        "clear_number": clear_number,
        "began": began if exact else None,
        "attached": noted.get("attached") if same else None,
    }
    _write(context, note)
    given = None if is_empty(given_run_id) else given_run_id
    return OwnRun(
        run_id=given or remote_run_id(**identity, first_try=first_try),
        derived=not given,
        retry=retry,
        began=began,
        exact=exact,
        before_clear=frozenset(remote_run_id(**identity, first_try=number) for number in range(1, first_try)),
        attached=note["attached"],
    )


def note_attached(context: Context, attached: bool) -> None:
    """
    Note for later tries, where Airflow can (3.3 and up), whether this one attached to a run that it did not create.

    :param context: the task's context
    :param attached: whether it attached to the run; it created or reset it otherwise
    """
    if noted := _noted(context):
        _write(context, {**noted, "attached": attached})


def _first_try(noted: dict[str, Any], ti: Any, retries: int, clear_number: int | None) -> tuple[int, bool]:
    """Number the first try since the task was last cleared, and say whether it was noted."""
    derived = first_try_number(ti.max_tries, retries)
    if not noted:
        return derived, False
    # A clear raises both, mostly: max_tries not where retries were lowered, the other with every task of the dag run.
    if noted["max_tries"] == ti.max_tries and (noted["clear_number"] == clear_number or noted["first_try"] == derived):
        return noted["first_try"], True
    # Where retries were raised after the clear, the derived number can be one from before the clear.
    return (derived if derived > noted["last_try"] else ti.try_number), False


def _noted(context: Context) -> dict[str, Any]:
    store = task_state_store(context)
    if store is None:
        return {}
    with suppress(Exception):  # if the store does not respond, the number of retries decides
        noted = store.get(STORE_KEY)
        if isinstance(noted, dict) and {"first_try", "last_try", "max_tries", "clear_number", "began"} <= set(noted):
            return noted
    return {}


def _write(context: Context, note: dict[str, Any]) -> None:
    store = task_state_store(context)
    if store is not None:
        with suppress(Exception):
            store.set(STORE_KEY, note)


def _seconds(date: datetime | None) -> float | None:
    if date is None:
        return None
    from datetime import timezone

    return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()


def _this_deployment(warn: Callable[[str], None]) -> str:
    """Name the triggering Deployment: by the URL of its UI, which Astro sets."""
    url: str = conf.get(BASE_URL_SECTION, "base_url", fallback="") or ""
    if url == UNSET_BASE_URL:
        warn(
            f"[{BASE_URL_SECTION}] base_url of this Deployment is not set. Should another Deployment without one have "
            "a task of the same name in a run of the same id, the two would take each other's remote run for their own."
        )
    return url
