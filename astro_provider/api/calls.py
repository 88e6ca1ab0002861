"""
The endpoints: one small function for each, which makes the call. Ids are percent-encoded here, and nowhere else.

All of them take the API version first, then what they are about: ``dag_id``, ``run_id``, ``task_id``. Those that list
return one page, and how many rows there are in all; ``page`` (``limit`` and ``offset``) says which one, and ``params``
are the query parameters of the endpoint, these two included.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from astro_provider.api.call import Call
from astro_provider.api.errors import RequestNotPossible
from astro_provider.api.reading import collection, mapping
from astro_provider.api.sanitize import plain
from astro_provider.api.states import FINISHED_DAG_RUN_STATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from astro_provider.api.rest_api import RestApi
    from astro_provider.api.types import JSON, Dag, DagRun, LogEntry, Pool, TaskInstance

PAGE_SIZE = 100
"""What every target allows unless its ``maximum_page_limit`` was lowered; shorter pages are coped with."""


def _segment(value: str) -> str:
    # HTTP libraries and servers resolve these two as directions, encoded or not.
    if value in ("", ".", ".."):
        raise RequestNotPossible(f"an id of {value!r} cannot be part of a URL")
    return quote(value, safe="")


def _dag(dag_id: str) -> str:
    return f"dags/{_segment(dag_id)}"


def _run(dag_id: str, run_id: str) -> str:
    return f"{_dag(dag_id)}/dagRuns/{_segment(run_id)}"


def _run_named(dag_id: str, run_id: str) -> str:
    return f"dag run {run_id!r} of dag {dag_id!r}"


def _read_dag(raw: JSON) -> Dag:
    return cast("Dag", mapping(raw, "a dag", dag_id=str, is_paused=(bool, type(None))))


def _read_pool(raw: JSON) -> Pool:
    return cast("Pool", mapping(raw, "a pool", name=str, slots=int))


def _read_cleared(raw: JSON) -> None:
    mapping(raw, "the cleared run or its task instances")


def version(api: RestApi) -> Call[str]:
    """Get the version of Airflow that answers (``GET version``); v2 needs no credentials here."""
    return Call("GET", "version", lambda raw: plain(str(mapping(raw, "a version", version=str)["version"])), "version")


def get_dag(api: RestApi, dag_id: str) -> Call[Dag]:
    """Get a dag (``GET dags/{dag_id}``)."""
    return Call("GET", _dag(dag_id), _read_dag, f"dag {dag_id!r}", dag_id=dag_id)


def list_dags(api: RestApi, params: Mapping[str, JSON]) -> Call[tuple[list[Dag], int]]:
    """List one page of dags (``GET dags``)."""
    return Call("GET", "dags", lambda raw: collection(raw, "dags", _read_dag), "dags", params=params)


def set_paused(api: RestApi, dag_id: str, *, paused: bool) -> Call[Dag]:
    """
    Pause or unpause a dag (``PATCH dags/{dag_id}``).

    :param paused: whether it is paused from now on
    """
    return Call(
        "PATCH",
        _dag(dag_id),
        _read_dag,
        f"dag {dag_id!r}",
        body={"is_paused": paused},
        dag_id=dag_id,
        idempotent=True,
    )


def trigger_dag_run(api: RestApi, dag_id: str, fields: dict[str, JSON], *, idempotent: bool = False) -> Call[DagRun]:
    """
    Create a dag run (``POST dags/{dag_id}/dagRuns``).

    :param fields: body of the request, with the v2 names; a field that is ``None`` is not set
    :param idempotent: whether nobody else uses the run id in ``fields``, so that the request may be sent again
    """
    return Call(
        "POST",
        f"{_dag(dag_id)}/dagRuns",
        api.dag_run,
        f"a run of dag {dag_id!r}",
        body=api.trigger_body(fields),
        dag_id=dag_id,
        idempotent=idempotent,
    )


def get_dag_run(api: RestApi, dag_id: str, run_id: str) -> Call[DagRun]:
    """Get a dag run (``GET dags/{dag_id}/dagRuns/{run_id}``)."""
    return Call("GET", _run(dag_id, run_id), api.dag_run, _run_named(dag_id, run_id), dag_id=dag_id)


def list_dag_runs(api: RestApi, dag_id: str, filters: dict[str, JSON]) -> Call[tuple[list[DagRun], int]]:
    """
    List one page of a dag's runs (``GET dags/{dag_id}/dagRuns``).

    :param dag_id: the dag, ``~`` for all
    :param filters: query parameters with their v2 names, ``limit`` and ``offset`` included
    """
    return Call(
        "GET",
        f"{_dag(dag_id)}/dagRuns",
        lambda raw: collection(raw, "dag_runs", api.dag_run),
        f"runs of dag {dag_id!r}",
        params=api.run_filters(filters),
        dag_id=dag_id,
    )


def list_finished_runs(
    api: RestApi, dag_ids: list[str], ended_after: str, due_after: str, page: dict[str, JSON]
) -> Call[tuple[list[DagRun], int]]:
    """
    List one page of the finished runs of several dags (``POST dags/~/dagRuns/list``), ordered by end date.

    :param dag_ids: the dags
    :param ended_after: the earliest end date
    :param due_after: the earliest ``run_after`` (v1: logical date)
    """
    return Call(
        "POST",
        "dags/~/dagRuns/list",
        lambda raw: collection(raw, "dag_runs", api.dag_run),
        "runs of several dags",
        body={
            **api.finished_runs_body(dag_ids, [*FINISHED_DAG_RUN_STATES], ended_after, due_after),
            "order_by": "end_date",
            **_in_body(page),
        },
        # Sent once, as the next poll asks the same: resent, a list that hangs would hold up all waits three times.
    )


def search_task_instances(
    api: RestApi, filters: Mapping[str, JSON], page: dict[str, JSON]
) -> Call[tuple[list[TaskInstance], int]]:
    """
    List one page of task instances across dags and runs (``POST dags/~/dagRuns/~/taskInstances/list``).

    :param filters: ``dag_ids``, ``dag_run_ids``, ``task_ids``, ``state``, ``end_date_gte``, which mean the same in both
        API versions; ``None`` is left out
    """
    return Call(
        "POST",
        "dags/~/dagRuns/~/taskInstances/list",
        lambda raw: collection(raw, "task_instances", api.task_instance),
        "task instances of several dags",
        body={**{name: value for name, value in filters.items() if value is not None}, **_in_body(page)},
        idempotent=True,
    )


def _in_body(page: dict[str, JSON]) -> dict[str, JSON]:
    return {f"page_{key}": value for key, value in page.items()}


def set_run_state(api: RestApi, dag_id: str, run_id: str, state: str) -> Call[DagRun]:
    """
    Set the state of a dag run (``PATCH dags/{dag_id}/dagRuns/{run_id}``).

    :param state: the new state; ``failed`` ends the run and its running tasks
    """
    return Call(
        "PATCH",
        _run(dag_id, run_id),
        api.dag_run,
        _run_named(dag_id, run_id),
        body={"state": state},
        dag_id=dag_id,
        idempotent=True,
    )


def clear_dag_run(api: RestApi, dag_id: str, run_id: str, *, only_failed: bool) -> Call[None]:
    """
    Clear a dag run (``POST dags/{dag_id}/dagRuns/{run_id}/clear``, or ``POST dags/{dag_id}/clearTaskInstances``).

    :param only_failed: whether only its failed tasks run again
    """
    path, body = api.clear_run(_dag(dag_id), _run(dag_id, run_id), run_id, only_failed=only_failed)
    return Call(
        "POST",
        path,
        _read_cleared,
        _run_named(dag_id, run_id),
        body=body,
        dag_id=dag_id,
        idempotent=True,
    )


def clear_tasks(
    api: RestApi, dag_id: str, run_id: str, instances: Sequence[TaskInstance], *, reset_dag_runs: bool
) -> Call[None]:
    """
    Clear task instances of a run (``POST dags/{dag_id}/clearTaskInstances``).

    :param instances: the task instances
    :param reset_dag_runs: whether the run is set to run again, too
    """
    return Call(
        "POST",
        f"{_dag(dag_id)}/clearTaskInstances",
        _read_cleared,
        _run_named(dag_id, run_id),
        body={
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": api.task_keys(instances),
            "only_failed": False,
            "reset_dag_runs": reset_dag_runs,
        },
        dag_id=dag_id,
        idempotent=True,
    )


def list_task_instances(
    api: RestApi, dag_id: str, run_id: str, params: dict[str, JSON]
) -> Call[tuple[list[TaskInstance], int]]:
    """
    List one page of a run's task instances (``GET dags/{dag_id}/dagRuns/{run_id}/taskInstances``).

    :param run_id: the run, ``~`` for all
    """
    return Call(
        "GET",
        f"{_run(dag_id, run_id)}/taskInstances",
        lambda raw: collection(raw, "task_instances", api.task_instance),
        f"task instances of {_run_named(dag_id, run_id)}",
        params=params,
        dag_id=dag_id,
    )


def get_task(api: RestApi, dag_id: str, task_id: str) -> Call[str]:
    """
    Get a task of a dag (``GET dags/{dag_id}/tasks/{task_id}``).

    :return: its id
    """
    return Call(
        "GET",
        f"{_dag(dag_id)}/tasks/{_segment(task_id)}",
        lambda raw: str(mapping(raw, "a task", task_id=str)["task_id"]),
        f"task {task_id!r} of dag {dag_id!r}",
        dag_id=dag_id,
    )


def get_task_instance(api: RestApi, dag_id: str, run_id: str, task_id: str, map_index: int) -> Call[TaskInstance]:
    """
    Get a task instance (``GET dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}``).

    :param map_index: which instance of a mapped task, -1 for a task that is not mapped
    """
    mapped = f"/{map_index}" if map_index >= 0 else ""
    return Call(
        "GET",
        f"{_run(dag_id, run_id)}/taskInstances/{_segment(task_id)}{mapped}",
        api.task_instance,
        f"task {task_id!r} of {_run_named(dag_id, run_id)}",
        dag_id=dag_id,
    )


def get_task_log(
    api: RestApi, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int
) -> Call[list[LogEntry]]:
    """
    Get the log of one try of a task instance (``GET …/taskInstances/{task_id}/logs/{try_number}``).

    :param try_number: the try, from 1
    :param map_index: which instance of a mapped task, -1 for a task that is not mapped
    """
    return Call(
        "GET",
        f"{_run(dag_id, run_id)}/taskInstances/{_segment(task_id)}/logs/{try_number}",
        api.log_entries,
        f"log of try {try_number} of task {task_id!r} of {_run_named(dag_id, run_id)}",
        params={"full_content": True, "map_index": map_index},
        dag_id=dag_id,
    )


def get_end_of_task_log(
    api: RestApi, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int
) -> Call[list[LogEntry]]:
    """Ask for the log of one try of a task instance, and read no more than its end, where its error is."""
    whole = get_task_log(api, dag_id, run_id, task_id, try_number, map_index)
    return replace(whole, read_end=api.end_of_log)


def get_xcom(api: RestApi, dag_id: str, run_id: str, task_id: str, key: str, map_index: int | None) -> Call[JSON]:
    """
    Get the value of an XCom (``GET …/taskInstances/{task_id}/xcomEntries/{key}``).

    :param task_id: the task that pushed it
    :param key: its key
    :param map_index: which instance of a mapped task, ``None`` for a task that is not mapped
    """
    return Call(
        "GET",
        f"{_run(dag_id, run_id)}/taskInstances/{_segment(task_id)}/xcomEntries/{_segment(key)}",
        lambda raw: mapping(raw, "an XCom", key=str, value=object)["value"],
        f"XCom {key!r} of task {task_id!r} of {_run_named(dag_id, run_id)}",
        params={**api.XCOM_PARAMS, "map_index": map_index},
        dag_id=dag_id,
    )


def list_pools(api: RestApi, params: Mapping[str, JSON]) -> Call[tuple[list[Pool], int]]:
    """List one page of pools (``GET pools``)."""
    return Call("GET", "pools", lambda raw: collection(raw, "pools", _read_pool), "pools", params=params)
