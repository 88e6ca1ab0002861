"""Whether a task is being ended by a user, or only by a worker or triggerer that goes down."""

from __future__ import annotations

from typing import Any

from astro_provider.airflow_versions import AIRFLOW_VERSION

_GOES_ON = ("running", "deferred", "queued", "scheduled", "up_for_retry")
"""States of a task that somebody will go on with: its process is ended for the machine's sake, not by a user."""


def ended_by_user(task_instance: Any) -> bool:
    """
    Ask this Deployment's Airflow in which state the task is: a user who marks, clears or kills it has changed that.

    Blocks; on an event loop call it in a thread.

    :param task_instance: the task instance, as the context or a trigger has it
    :return: whether a user ended it; ``False`` where the state cannot be told, as a remote run that goes on can be
        cancelled by hand and one that was cancelled cannot be brought back
    """
    try:
        state = _state(task_instance)
    except Exception:
        return False
    return str(getattr(state, "value", state)) not in _GOES_ON


def _state(task_instance: Any) -> Any:
    if AIRFLOW_VERSION >= (3, 0):
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        by_run = RuntimeTaskInstance.get_task_states(
            dag_id=task_instance.dag_id,
            task_ids=[task_instance.task_id],
            run_ids=[task_instance.run_id],
            map_index=task_instance.map_index,
        )
        (state,) = by_run[task_instance.run_id].values()
        return state
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        return (
            session.query(TaskInstance.state)
            .filter_by(
                dag_id=task_instance.dag_id,
                task_id=task_instance.task_id,
                run_id=task_instance.run_id,
                map_index=task_instance.map_index,
            )
            .scalar()
        )
