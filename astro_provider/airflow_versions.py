"""
The differences between the Airflow versions that this package runs in, and the private names of Airflow that it uses.

Other modules import those names of Airflow from here that have moved: they come from ``airflow.sdk`` on Airflow 3 and
from Airflow's own modules on Airflow 2. They are loaded at first use, because each import of a DAG file costs time
whenever the file is parsed.

The constants and functions below say with which versions of Airflow their behaviour was measured ("Measured"), and how
to find out whether they are still needed ("Check"). To support another version of Airflow, go through these notes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from airflow import __version__ as _airflow_version
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import (
        BaseHook,
        BaseNotifier,
        BaseOperator,
        BaseOperatorLink,
        BaseSensorOperator,
        Connection,
        Context,
        Param,
    )
    from airflow.sdk.bases.decorator import determine_kwargs
    from airflow.sdk.configuration import conf
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
    )
    from airflow.sdk.execution_time.context import TaskStateStoreAccessor
    from airflow.sdk.execution_time.xcom import XCom
    from airflow.sdk.types import TaskInstanceKey

__all__ = [  # the names of Airflow that other modules import from here
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "BaseHook",
    "BaseNotifier",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "Context",
    "Param",
    "TaskInstanceKey",
    "XCom",
    "conf",
    "determine_kwargs",
]

T = TypeVar("T")

AIRFLOW_VERSION = Version(_airflow_version).release[:3]
"""The running Airflow, e.g. ``(3, 3, 2)``. Compare it as a tuple: ``AIRFLOW_VERSION >= (3, 3)``."""

CAN_START_FROM_TRIGGER = AIRFLOW_VERSION >= (3, 3)
"""
Whether a task can start in the triggerer, with templates that the triggerer renders.

Measured: the triggerer of 3.2.2 renders no templates, that of 3.3.0 does. Check: remove this when Airflow 3.2 is no
longer supported.
"""

RETRIES_FROM_TRIGGERER = AIRFLOW_VERSION >= (3, 3, 1)
"""
Whether a task that the triggerer fails (``TaskFailedEvent``) is retried if it has retries left.

Measured: 3.3.0 fails such a task for good, 3.3.2 retries it. Check: remove this when 3.3.0 is no longer supported.
"""

EXECUTION_TIMEOUT_SPANS_DEFERRAL = AIRFLOW_VERSION < (3, 0)
"""
Whether ``execution_timeout`` counts from the start of the try, including the time in which the task is deferred.

Airflow 3 counts anew when a deferred task resumes. Measured: 2.11.2, 3.3.2. Check: the function of
``airflow.sdk.execution_time.task_runner`` that executes a task ignores the start of the try.
"""

OWN_API_VERSION: Literal["v1", "v2"] = "v2" if AIRFLOW_VERSION >= (3, 0) else "v1"
"""The version of the REST API of this Deployment, which says what the URLs of its UI look like."""

BASE_URL_SECTION = "api" if AIRFLOW_VERSION >= (3, 0) else "webserver"
"""The section of Airflow's configuration that has ``base_url``."""

UNSET_BASE_URL = "" if AIRFLOW_VERSION >= (3, 0) else "http://localhost:8080"
"""Airflow's default of ``base_url``. Measured: 2.11.2, 3.3.2. Check: Airflow's ``config.yml``."""

_EXCEPTIONS = ("airflow.sdk.exceptions", "airflow.exceptions")

_MODULES = {
    **{f"Airflow{name}Exception": _EXCEPTIONS for name in ("", "Fail", "NotFound", "Skip")},
    **{f"Airflow{name}Timeout": _EXCEPTIONS for name in ("Sensor", "Task")},
    "BaseHook": ("airflow.sdk", "airflow.hooks.base"),
    "BaseNotifier": ("airflow.sdk.bases.notifier", "airflow.notifications.basenotifier"),
    "BaseOperator": ("airflow.sdk", "airflow.models.baseoperator"),
    "BaseOperatorLink": ("airflow.sdk", "airflow.models.baseoperatorlink"),
    "BaseSensorOperator": ("airflow.sdk", "airflow.sensors.base"),
    "Context": ("airflow.sdk", "airflow.utils.context"),
    "Param": ("airflow.sdk", "airflow.models.param"),
    "TaskInstanceKey": ("airflow.sdk.types", "airflow.models.taskinstancekey"),
    "XCom": ("airflow.sdk.execution_time.xcom", "airflow.models.xcom"),
    "conf": ("airflow.sdk.configuration", "airflow.configuration"),
    "determine_kwargs": ("airflow.sdk.bases.decorator", "airflow.utils.operator_helpers"),
    "redact": tuple(f"airflow.{name}.secrets_masker" for name in ("sdk._shared", "sdk.execution_time", "utils.log")),
}
"""
The modules that define each name, the newest first.

Measured: 2.11.0, 3.0.6, 3.1.8, 3.2.2 and 3.3.2. Airflow 3.0 and 3.1 still define the exceptions and ``conf`` in the
older modules. Check: the unit tests under a new version fail if a name has moved.
"""


def __getattr__(name: str) -> Any:
    """Load a name of Airflow from the first module that defines it, and cache it."""
    for module in _MODULES.get(name, ()):
        try:
            value = getattr(import_module(module), name)
        except (ImportError, AttributeError):
            continue
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


async def call_supervisor(function: Callable[..., T], *arguments: Any) -> T:
    """
    Call a blocking function of Airflow, such as one that reads a connection or a state, from an event loop.

    The supervisor of a triggerer of Airflow 3.0 and 3.1 sends its responses in the order of the requests. A call that
    reads the response to another call ends the whole triggerer, with the error "Response read out of order!".
    ``sync_to_async`` prevents this for calls in several threads. A call whose caller is cancelled continues in the
    background, so that no later call reads its response.

    Measured: needed with 3.0.6 and 3.1.8; 3.2.2 matches responses by number (``TriggerCommsDecoder._pending``).
    Check: ``asyncio.to_thread`` is enough when Airflow 3.1 is no longer supported.

    :param function: the blocking function
    :param arguments: its positional arguments
    :return: what the function returns
    """
    import asyncio

    from asgiref.sync import sync_to_async

    return await asyncio.shield(asyncio.ensure_future(sync_to_async(function)(*arguments)))


async def get_async_connection(conn_id: str) -> tuple[Connection, dict[str, Any]]:
    """
    Read a connection from an event loop.

    Measured: before 3.3.2, ``BaseHook.aget_connection`` (Airflow 3.1 and later) masks secrets with a call that blocks
    the event loop. Check: remove the comparison of versions when Airflow 3.3.1 is no longer supported.

    :param conn_id: id of the connection
    :return: the connection, and its Extra as a dict
    :raise AirflowNotFoundException: the connection does not exist
    """
    from astro_provider.airflow_versions import BaseHook

    if AIRFLOW_VERSION >= (3, 3, 2) and _has_async_supervisor():
        connection = await BaseHook.aget_connection(conn_id)
        return connection, await connection.aextra_dejson()

    def read() -> tuple[Connection, dict[str, Any]]:
        connection = BaseHook.get_connection(conn_id)
        return connection, connection.extra_dejson

    return await call_supervisor(read)


def _has_async_supervisor() -> bool:
    """
    Check whether the supervisor answers asynchronous calls.

    ``airflow dags test`` runs triggers in its own process, where the supervisor answers blocking calls only. Measured:
    3.3.2. Check: ``InProcessSupervisorComms`` of ``airflow.sdk.execution_time.supervisor`` has no method ``asend``.
    """
    from airflow.sdk.execution_time import task_runner

    supervisor = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return supervisor is None or hasattr(supervisor, "asend")


def triggers_have_on_kill() -> bool:
    """
    Check whether the triggerer calls ``on_kill`` of a trigger whose task was ended, instead of only cancelling it.

    Measured: 3.2.2 does not, 3.3.0 and 3.3.2 do. Check: remove this when Airflow 3.2 is no longer supported.
    """
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "on_kill")


def task_state(task_instance: Any) -> str | None:
    """
    Read the state of a task: on Airflow 3 from its API server, on Airflow 2 from its database. The call blocks.

    :param task_instance: the task instance of a context or a trigger
    :return: the state; ``None`` for a task without one, or that was deleted
    """
    state = _state_in_airflow_3(task_instance) if AIRFLOW_VERSION >= (3, 0) else _state_in_airflow_2(task_instance)
    return None if state is None else str(getattr(state, "value", state))


def _state_in_airflow_3(task_instance: Any) -> Any:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states_by_run = RuntimeTaskInstance.get_task_states(
        dag_id=task_instance.dag_id,
        task_ids=[task_instance.task_id],
        run_ids=[task_instance.run_id],
        map_index=task_instance.map_index,
    )
    return next(iter(states_by_run.get(task_instance.run_id, {}).values()), None)


def _state_in_airflow_2(task_instance: Any) -> Any:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        return session.query(TaskInstance.state).filter_by(**task_instance_key(task_instance)).scalar()


def heartbeat_timed_out(task_instance: Any) -> bool:
    """
    Check whether the scheduler failed this try because its worker sent no heartbeat. The call blocks.

    Airflow 2 has an entry about the timeout in the table ``log`` of its database. Airflow 3 does not show such entries
    to a task, so that the result is always ``False`` there. Measured: 2.11.2, 3.3.2. Check: ``get_task_states`` of
    Airflow 3 returns nothing but the state.

    :param task_instance: the task instance of the context
    """
    if AIRFLOW_VERSION >= (3, 0):
        return False
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    entry = {"try_number": task_instance.try_number, "event": "heartbeat timeout"}
    with create_session() as session:
        entries = session.query(Log.id).filter_by(**task_instance_key(task_instance), **entry)
        return entries.first() is not None


def task_instance_key(task_instance: Any) -> dict[str, Any]:
    """Return what identifies a task instance, without its try number, as keyword arguments of Airflow's queries."""
    return {name: getattr(task_instance, name) for name in ("dag_id", "task_id", "run_id", "map_index")}


def task_state_store(context: Context) -> TaskStateStoreAccessor | None:
    """
    Return Airflow's task state store (Airflow 3.3 and later), whose content survives retries and clears.

    Measured: 3.2.2 has none, 3.3.0 and 3.3.2 do. Check: remove this when Airflow 3.2 is no longer supported.

    :param context: the task's context
    :return: the store; ``None`` before Airflow 3.3
    """
    return context.get("task_state_store")


def was_rescheduled(sensor: BaseSensorOperator, context: Context) -> bool:
    """
    Check whether a sensor was rescheduled since its task was last cleared, so that this is not its first process.

    Airflow 3 has a counter in the context. Airflow 2 has a private function that its own sensors use. Measured:
    2.11.2, 3.3.2. Check: ``BaseSensorOperator.execute`` of Airflow 2.11 calls ``_orig_start_date``.

    :param sensor: a sensor in reschedule mode
    :param context: the context of its task
    """
    if AIRFLOW_VERSION >= (3, 0):
        return bool(context.get("task_reschedule_count"))
    ti = context["ti"]
    first_date = import_module("airflow.sensors.base")._orig_start_date(
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        map_index=ti.map_index,
        try_number=(ti.max_tries or 0) - (sensor.retries or 0) + 1,
    )
    return first_date is not None


def given_parameters(operator: BaseOperator) -> frozenset[str]:
    """
    Return the names of the parameters that an operator was created with, including those whose value is ``None``.

    Measured: private in 2.11.2 and 3.3.2. Check: this raises an ``AttributeError`` if Airflow has renamed it.

    :param operator: the operator
    """
    return frozenset(operator._BaseOperator__init_kwargs)  # type: ignore[attr-defined]  # Airflow sets it dynamically


def has_pre_execute(operator: BaseOperator) -> bool:
    """
    Check whether the user gave the operator a function ``pre_execute``, which only a worker calls.

    Measured: private in 2.11.2 and 3.3.2. Check: this raises an ``AttributeError`` if Airflow has renamed it.

    :param operator: the operator
    """
    return operator._pre_execute_hook is not None


def has_post_execute(operator: BaseOperator) -> bool:
    """Check whether the user gave the operator a function ``post_execute``; see :func:`has_pre_execute`."""
    return operator._post_execute_hook is not None
