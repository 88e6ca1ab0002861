"""Whether a user ended a task, or whether only its worker or its triggerer stops; when a suspended task may resume."""

from __future__ import annotations

import asyncio
from typing import Any

from astro_provider.airflow_versions import (
    CAN_START_FROM_TRIGGER,
    call_supervisor,
    heartbeat_timed_out,
    task_instance_key,
    task_state,
)
from astro_provider.links import XCOM_RUN_ID

MIN_SUSPENSION_SECONDS = 10.0
"""
Seconds for which a task that a worker has deferred or rescheduled is not resumed.

Airflow fails a task that is resumed before the scheduler knows that its process has ended. Measured: on 3.3.2, the
supervisor of a worker reports this up to five seconds late (3 of 10 deferrals). Check: set this to 0 and run
``tests/integration/test_trigger_dag_run.py``.
"""

_UNFINISHED_STATES = ("running", "deferred", "queued", "scheduled", "up_for_retry")
"""States of a task whose worker stops, but which no user ended: Airflow runs the task again, or continues it."""

MAX_STATE_SECONDS = 10.0
"""How long a triggerer waits for the state of a task. While it stops, its supervisor might not respond."""

CLEARED_TASK_CHECKS = 16
"""
How often a triggerer checks a task that seems to wait still, once per second, to find out whether it was cleared.

Measured: on 3.3.2, a cleared task that starts in the triggerer is "deferred" again within a second or two, before
Airflow cancels its former trigger. Its second try then leaves the triggerer for a worker. Check: remove this when a
trigger can find out the number of the current try.
"""

CHECK_PAUSE_SECONDS = 1.0
"""Seconds between two of these checks."""


def ended_by_user(task_instance: Any) -> bool:
    """
    Check on a worker whether a user marked, cleared or killed the task that is ended there.

    A task whose heartbeat timed out on its last try is ``failed``, too. Airflow 2 logs the timeout, so this function
    returns ``False`` for such a task. On Airflow 3, a task can read only its state. If its worker
    was frozen for longer than ``[scheduler] task_instance_heartbeat_timeout`` on the last try, this function therefore
    returns ``True`` there, as if a user had ended the task.

    :param task_instance: the task instance of the context
    :return: whether a user ended the task; ``False`` if the state cannot be read, because a remote run that continues
        can be cancelled by hand, but the cancellation of a run cannot be undone
    """
    try:
        state = task_state(task_instance)
        return state not in _UNFINISHED_STATES and not (state == "failed" and heartbeat_timed_out(task_instance))
    except Exception:
        return False


async def deferral_ended(task_instance: Any, remote_id: str | int, *, xcom_key: str = XCOM_RUN_ID) -> bool:
    """
    Check on the triggerer's event loop whether a task no longer waits for a remote run, or for what has another id.

    Airflow cancels a trigger for one of three reasons: a user marked or cleared the task; Airflow ended the deferral
    after its timeout; or the triggerer stops, or hands its triggers over to another triggerer. Only in the last case
    does the task still wait for the same run. A task that a user cleared might have been deferred again by now: Airflow
    keeps the trigger of a cleared task until the task has another trigger. The task then waits for another run or, on
    Airflow 3.3 and later, soon leaves the state "deferred" (``CLEARED_TASK_CHECKS``).

    :param task_instance: the task instance of the trigger
    :param remote_id: id of the run, or of what the trigger waits for
    :param xcom_key: key of the XCom in which the task stores what it waits for
    :return: whether the task no longer waits for that; ``False`` if this cannot be read within
        ``MAX_STATE_SECONDS``
    """
    # Before Airflow 3.3, a triggerer that stops calls this, too, and must not be delayed.
    checks = CLEARED_TASK_CHECKS if CAN_START_FROM_TRIGGER else 1
    for number in range(checks):
        if number:
            await asyncio.sleep(CHECK_PAUSE_SECONDS)
        try:
            waits = call_supervisor(_waits_for, task_instance, remote_id, xcom_key)
            if not await asyncio.wait_for(waits, MAX_STATE_SECONDS):
                return True
        except Exception:
            return False
    return False


def _waits_for(task_instance: Any, remote_id: str | int, xcom_key: str) -> bool:
    if task_state(task_instance) != "deferred":
        return False
    from astro_provider.airflow_versions import XCom

    stored = XCom.get_one(**task_instance_key(task_instance), key=xcom_key)
    return stored is None or stored == remote_id
