"""
Every difference between the Airflow versions that this package runs in.

The names that the package uses of Airflow are imported from here: from ``airflow.sdk`` on Airflow 3, from Airflow's
own modules on Airflow 2. They are loaded at first use, because every DAG file pays for an import at every parse.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from airflow import __version__ as _airflow_version
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import (
        BaseHook,
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
    from airflow.sdk.execution_time.xcom import XCom
    from airflow.sdk.types import TaskInstanceKey

__all__ = [
    "AIRFLOW_VERSION",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "Context",
    "Param",
    "TaskInstanceKey",
    "XCom",
    "ask_supervisor",
    "conf",
    "determine_kwargs",
    "get_async_connection",
    "was_rescheduled",
]

T = TypeVar("T")

AIRFLOW_VERSION = Version(_airflow_version).release[:3]
"""The running Airflow, e.g. ``(3, 3, 2)``. Compare it as a tuple: ``AIRFLOW_VERSION >= (3, 3)``."""

_EXCEPTIONS = ("airflow.sdk.exceptions", "airflow.exceptions")

_MODULES = {
    "AirflowException": _EXCEPTIONS,
    "AirflowFailException": _EXCEPTIONS,
    "AirflowNotFoundException": _EXCEPTIONS,
    "AirflowSensorTimeout": _EXCEPTIONS,
    "AirflowSkipException": _EXCEPTIONS,
    "AirflowTaskTimeout": _EXCEPTIONS,
    "BaseHook": ("airflow.sdk", "airflow.hooks.base"),
    "BaseOperator": ("airflow.sdk", "airflow.models.baseoperator"),
    "BaseOperatorLink": ("airflow.sdk", "airflow.models.baseoperatorlink"),
    "BaseSensorOperator": ("airflow.sdk", "airflow.sensors.base"),
    "Context": ("airflow.sdk", "airflow.utils.context"),
    "Param": ("airflow.sdk", "airflow.models.param"),
    "TaskInstanceKey": ("airflow.sdk.types", "airflow.models.taskinstancekey"),
    "XCom": ("airflow.sdk.execution_time.xcom", "airflow.models.xcom"),
    "conf": ("airflow.sdk.configuration", "airflow.configuration"),
    "determine_kwargs": ("airflow.sdk.bases.decorator", "airflow.utils.operator_helpers"),
}
"""The modules that have a name, the newest first. Airflow 3.0 and 3.1 have some of them in both."""


def __getattr__(name: str) -> Any:
    """Load a name of Airflow from the first module that has it, and keep it."""
    for module in _MODULES.get(name, ()):
        try:
            value = getattr(import_module(module), name)
        except (ImportError, AttributeError):
            continue
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


async def ask_supervisor(function: Callable[..., T], *arguments: Any) -> T:
    """
    Call a blocking function that asks Airflow for something, such as a connection or a state, on an event loop.

    In a triggerer of Airflow 3.0 and 3.1, the supervisor's answers come in the order of the requests. There, only
    ``sync_to_async`` keeps a call in another thread from reading the answer to another request, and a call that is
    cancelled leaves its answer to the next one; either ends the whole triggerer ("Response read out of order!").
    So the call goes on in the background where the caller is cancelled.

    :param function: the function
    :param arguments: its arguments
    :return: what it returns
    """
    import asyncio

    from asgiref.sync import sync_to_async

    return await asyncio.shield(asyncio.ensure_future(sync_to_async(function)(*arguments)))


async def get_async_connection(conn_id: str) -> tuple[Connection, dict[str, Any]]:
    """
    Read a connection on an event loop.

    :param conn_id: id of the connection
    :return: the connection, and its Extra as a dict
    :raise AirflowNotFoundException: there is no such connection
    """
    from astro_provider.airflow_versions import BaseHook

    if AIRFLOW_VERSION >= (3, 3, 2) and _has_async_supervisor():
        connection = await BaseHook.aget_connection(conn_id)
        return connection, await connection.aextra_dejson()

    # Before 3.3.2, aget_connection (3.1 and up) masks secrets with a blocking call on the event loop.
    def read() -> tuple[Connection, dict[str, Any]]:
        connection = BaseHook.get_connection(conn_id)
        return connection, connection.extra_dejson

    return await ask_supervisor(read)


def was_rescheduled(sensor: BaseSensorOperator, context: Context) -> bool:
    """
    Say whether an earlier process of this task has rescheduled it since it was last cleared.

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


def _has_async_supervisor() -> bool:
    """Check that this is not ``airflow dags test``, which runs triggers itself and answers blocking calls only."""
    from airflow.sdk.execution_time import task_runner

    supervisor = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return supervisor is None or hasattr(supervisor, "asend")
