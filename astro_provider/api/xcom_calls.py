"""The endpoints of the REST API for XComs: one function per endpoint, which makes the call; see ``calls``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypedDict, cast

from astro_provider.api.call import Call
from astro_provider.api.flow import MAX_RESPONSE_BYTES
from astro_provider.api.parsing import collection_reader, mapping
from astro_provider.api.urls import run_path, segment, task_instance_path

if TYPE_CHECKING:
    from astro_provider.api.api_versions import RestApi
    from astro_provider.api.types import JSON, Page, TaskInstance


class XComValue(NamedTuple):
    """The value of an XCom that exists, which can be null."""

    value: JSON


class XComEntry(TypedDict):
    """An XCom in a list, which has no values."""

    task_id: str
    map_index: int
    """-1 for a task that is not mapped."""


def _read_value(raw: JSON) -> XComValue:
    return XComValue(mapping(raw, "an XCom", key=str, value=object)["value"])


def _read_entry(raw: JSON) -> XComEntry:
    return cast("XComEntry", mapping(raw, "an XCom", task_id=str, map_index=int))


def get_xcom(
    api: RestApi,
    dag_id: str,
    run_id: str,
    task_id: str,
    key: str,
    map_index: int | None,
    *,
    max_bytes: int = MAX_RESPONSE_BYTES,
    as_text: bool = False,
) -> Call[XComValue]:
    """
    Get the value of an XCom.

    The endpoint is ``GET dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}``.

    :param map_index: map index of a mapped task instance; ``None`` for a task that is not mapped
    :param max_bytes: size of the largest response that is read
    :param as_text: whether to request the value as text, which is all that Airflow before 2.10 has
    """
    return Call(
        method="GET",
        path=f"{task_instance_path(dag_id, run_id, task_id)}/xcomEntries/{segment(key)}",
        read=_read_value,
        about=f"XCom {key!r} of task {task_id!r} of dag run {run_id!r} of dag {dag_id!r}",
        params={**({} if as_text else api.XCOM_PARAMS), "map_index": map_index},
        dag_id=dag_id,
        max_bytes=max_bytes,
    )


def list_xcoms(
    api: RestApi, page: Page, dag_id: str, run_id: str, task_id: str, key: str
) -> Call[tuple[list[XComEntry], int]]:
    """
    List the XComs of a dag run with a key, without their values.

    The endpoint is ``GET dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries``.

    :param task_id: the task that pushed them; ``~`` for all tasks
    :param key: the key; other XComs are left out
    """
    return Call(
        method="GET",
        path=f"{task_instance_path(dag_id, run_id, task_id)}/xcomEntries",
        read=collection_reader("xcom_entries", _read_entry),
        about=f"XComs of dag run {run_id!r} of dag {dag_id!r}",
        params={"xcom_key": key, **page},
        dag_id=dag_id,
    )


def list_mapped_instances(
    api: RestApi, page: Page, dag_id: str, run_id: str, task_id: str
) -> Call[tuple[list[TaskInstance], int]]:
    """
    List the instances of a mapped task; the target responds with 404 if the task is not mapped.

    The endpoint is ``GET dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/listMapped``.
    """
    return Call(
        method="GET",
        path=f"{run_path(dag_id, run_id)}/taskInstances/{segment(task_id)}/listMapped",
        read=collection_reader("task_instances", api.task_instance),
        about=f"mapped task {task_id!r} of dag {dag_id!r}",
        params=dict(page),
        dag_id=dag_id,
    )
