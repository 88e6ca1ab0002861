"""Whether a user ended a task, or whether only its worker or triggerer goes down."""

from __future__ import annotations

import asyncio
from typing import Any

from astro_provider.airflow_versions import AIRFLOW_VERSION, ask_supervisor
from astro_provider.links import XCOM_RUN_ID

_RUNNING_STATES = ("running", "deferred", "queued", "scheduled", "up_for_retry")
"""States of a task on a worker that Airflow runs again, or lets another process continue."""

MAX_STATE_SECONDS = 10.0
"""Seconds that a triggerer waits for the state of a task: where it is stopping, nobody may answer."""


def ended_by_user(task_instance: Any) -> bool:
    """
    Check on a worker whether a user marked, cleared or killed the task that is being ended there.

    A task whose heartbeat timed out on its last try is ``failed``, too. Airflow 2 has a log entry of it, so this
    function returns ``False`` for it there. Airflow 3 shows a task nothing but the state; there, a worker that was
    frozen for longer than ``[scheduler] task_instance_heartbeat_timeout`` on the last try counts as ended by a user.

    :param task_instance: the task instance of the context
    :return: whether a user ended it; ``False`` where the state cannot be read, as a remote run that goes on can be
        cancelled by hand and one that was cancelled cannot be brought back
    """
    try:
        state = _state(task_instance)
        return state not in _RUNNING_STATES and not (state == "failed" and _heartbeat_timed_out(task_instance))
    except Exception:
        return False


async def deferral_ended(task_instance: Any, remote_run_id: str) -> bool:
    """
    Check on the triggerer's event loop whether a task does not wait for this remote run any more.

    Airflow cancels a trigger for three reasons: a user marked or cleared the task, Airflow ended the deferral because
    its time was over, or the triggerer stops or hands its triggers over to another one. Only in the last case, the
    task still waits for the same run. Where a user cleared it, it may have deferred again by now: Airflow keeps the
    trigger of a cleared task until the task has another one.

    :param task_instance: the task instance of the trigger
    :param remote_run_id: the run that the trigger waits for
    :return: whether the task does not wait for that run any more; ``False`` where this cannot be read in time
    """
    try:
        waits = ask_supervisor(_waits_for, task_instance, remote_run_id)
        return not await asyncio.wait_for(waits, MAX_STATE_SECONDS)
    except Exception:
        return False


def _waits_for(task_instance: Any, remote_run_id: str) -> bool:
    if _state(task_instance) != "deferred":
        return False
    from astro_provider.airflow_versions import XCom

    run_id = XCom.get_one(**_key(task_instance), key=XCOM_RUN_ID)
    return run_id is None or run_id == remote_run_id


def _state(task_instance: Any) -> str | None:
    """Read the state of a task from this Deployment's Airflow. Blocks."""
    state = _state_in_airflow_3(task_instance) if AIRFLOW_VERSION >= (3, 0) else _state_in_airflow_2(task_instance)
    return None if state is None else str(getattr(state, "value", state))


def _state_in_airflow_3(task_instance: Any) -> Any:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    by_run = RuntimeTaskInstance.get_task_states(
        dag_id=task_instance.dag_id,
        task_ids=[task_instance.task_id],
        run_ids=[task_instance.run_id],
        map_index=task_instance.map_index,
    )
    # A task that was deleted has no state.
    return next(iter(by_run.get(task_instance.run_id, {}).values()), None)


def _state_in_airflow_2(task_instance: Any) -> Any:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        return session.query(TaskInstance.state).filter_by(**_key(task_instance)).scalar()


def _heartbeat_timed_out(task_instance: Any) -> bool:
    """Check whether the scheduler of Airflow 2 failed this try because it had no heartbeat."""
    if AIRFLOW_VERSION >= (3, 0):
        return False
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    of_this_try = {**_key(task_instance), "try_number": task_instance.try_number, "event": "heartbeat timeout"}
    with create_session() as session:
        return session.query(Log.id).filter_by(**of_this_try).first() is not None


def _key(task_instance: Any) -> dict[str, Any]:
    return {name: getattr(task_instance, name) for name in ("dag_id", "task_id", "run_id", "map_index")}
