"""
The endpoints of the REST API: one function per endpoint, which makes the call.

* The first parameter is the API version.
* A function that lists something makes the call for one page. Its second parameter, ``page``, has the ``limit`` and
  ``offset`` of that page, and the result is the rows of the page and the number of rows on all pages.
* ``dag_id``, ``run_id`` and ``task_id`` are the ids as users write them; they are percent-encoded in ``urls``.
* ``filters`` are the endpoint's filters with the names that API v2 has for them. A filter that is ``None`` is not sent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from astro_provider.api.call import Call
from astro_provider.api.parsing import collection_reader, mapping
from astro_provider.api.sanitize import plain
from astro_provider.api.urls import dag_path, run_path, segment, task_instance_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from astro_provider.api.api_versions import RestApi
    from astro_provider.api.types import JSON, Dag, DagRun, JSONInput, LogEntry, Page, Pool, TaskInstance

PAGE_SIZE = 100
"""Rows per page. A target whose ``maximum_page_limit`` is lower sends pages of that size."""


def _run_named(dag_id: str, run_id: str) -> str:
    return f"dag run {run_id!r} of dag {dag_id!r}"


def _read_version(raw: JSON) -> str:
    return plain(str(mapping(raw, "a version", version=str)["version"]))


def _read_dag(raw: JSON) -> Dag:
    return cast("Dag", mapping(raw, "a dag", dag_id=str, is_paused=(bool, type(None))))


def _read_task_id(raw: JSON) -> str:
    return str(mapping(raw, "a task", task_id=str)["task_id"])


def _read_pool(raw: JSON) -> Pool:
    return cast("Pool", mapping(raw, "a pool", name=str, slots=int))


def _read_cleared(raw: JSON) -> None:
    mapping(raw, "the cleared run or its task instances")


def version(api: RestApi) -> Call[str]:
    """Get the Airflow version of the target (``GET version``); API v2 needs no credentials for this."""
    return Call(method="GET", path="version", read=_read_version, about="version")


def get_dag(api: RestApi, dag_id: str) -> Call[Dag]:
    """Get a dag (``GET dags/{dag_id}``)."""
    return Call(method="GET", path=dag_path(dag_id), read=_read_dag, about=f"dag {dag_id!r}", dag_id=dag_id)


def list_dags(
    api: RestApi, page: Page, filters: Mapping[str, JSONInput], *, with_stale: bool = False
) -> Call[tuple[list[Dag], int]]:
    """
    List dags (``GET dags``).

    :param filters: query parameters, e.g. ``tags`` or ``dag_id_pattern``; the same in both API versions
    :param with_stale: whether to include dags whose file does not exist any more, or is not parsed at the moment
    """
    stale = api.WITH_STALE_DAGS if with_stale else {}
    return Call(
        method="GET",
        path="dags",
        read=collection_reader("dags", _read_dag),
        about="dags",
        params={**filters, **stale, **page},
    )


def set_paused(api: RestApi, dag_id: str, *, paused: bool) -> Call[Dag]:
    """
    Pause or unpause a dag (``PATCH dags/{dag_id}``).

    :param paused: ``True`` to pause the dag, ``False`` to unpause it
    """
    return replace(get_dag(api, dag_id), method="PATCH", body={"is_paused": paused}, idempotent=True)


def trigger_dag_run(
    api: RestApi, dag_id: str, fields: Mapping[str, JSONInput], *, now: str | None = None, idempotent: bool = False
) -> Call[DagRun]:
    """
    Create a dag run (``POST dags/{dag_id}/dagRuns``).

    :param fields: request body with the names of API v2; ``None`` means that a field is not set
    :param now: the current time of the target, if it is the logical date. API v1 takes the current time by itself
    :param idempotent: whether nothing else uses the ``dag_run_id`` of ``fields``. The request can then be sent again
        after a lost response: if the first request has created the run, the second one gets a 409
    :raise RequestNotPossible: a field that this API version does not have
    """
    return Call(
        method="POST",
        path=f"{dag_path(dag_id)}/dagRuns",
        read=api.dag_run,
        about=f"a run of dag {dag_id!r}",
        body=api.trigger_body(fields, now=now),
        dag_id=dag_id,
        idempotent=idempotent,
    )


def get_dag_run(api: RestApi, dag_id: str, run_id: str) -> Call[DagRun]:
    """Get a dag run (``GET dags/{dag_id}/dagRuns/{run_id}``)."""
    return Call(
        method="GET",
        path=run_path(dag_id, run_id),
        read=api.dag_run,
        about=_run_named(dag_id, run_id),
        dag_id=dag_id,
    )


def list_dag_runs(
    api: RestApi, page: Page, dag_id: str, filters: Mapping[str, JSONInput]
) -> Call[tuple[list[DagRun], int]]:
    """
    List the runs of a dag (``GET dags/{dag_id}/dagRuns``).

    :param dag_id: the dag; ``~`` for all dags
    :param filters: query parameters, e.g. ``state`` or ``run_after_gte``
    """
    return Call(
        method="GET",
        path=f"{dag_path(dag_id)}/dagRuns",
        read=collection_reader("dag_runs", api.dag_run),
        about=f"runs of dag {dag_id!r}",
        params=api.run_filters({**filters, **page}),
        dag_id=dag_id,
    )


def search_dag_runs(
    api: RestApi, page: Page, filters: Mapping[str, JSONInput], *, only_finished: bool = False
) -> Call[tuple[list[DagRun], int]]:
    """
    List the runs of several dags (``POST dags/~/dagRuns/list``).

    Only polls make this call, and each poll repeats it. It is therefore not sent again after a lost response: a
    target that does not answer would delay all waits three times as long.

    :param filters: the filters, e.g. ``dag_ids``, ``end_date_gte`` and ``order_by``
    :param only_finished: leave out runs that have not finished. ``filters`` must have ``end_date_gte``, which is all
        that API v1 can filter finished runs by
    """
    finished = api.FINISHED_RUNS if only_finished else {}
    return Call(
        method="POST",
        path="dags/~/dagRuns/list",
        read=collection_reader("dag_runs", api.dag_run),
        about="runs of several dags",
        body={**finished, **api.run_filters(filters), **_in_body(page)},
    )


def search_task_instances(
    api: RestApi, page: Page, filters: Mapping[str, JSONInput], *, idempotent: bool = True
) -> Call[tuple[list[TaskInstance], int]]:
    """
    List task instances across dags and runs (``POST dags/~/dagRuns/~/taskInstances/list``).

    :param filters: ``dag_ids``, ``dag_run_ids``, ``task_ids``, ``state`` or ``end_date_gte``; the same in both API
        versions
    :param idempotent: whether the request is sent again after a lost response; ``False`` for polls, which are repeated
    """
    return Call(
        method="POST",
        path="dags/~/dagRuns/~/taskInstances/list",
        read=collection_reader("task_instances", api.task_instance),
        about="task instances of several dags",
        body={**{name: value for name, value in filters.items() if value is not None}, **_in_body(page)},
        idempotent=idempotent,
    )


def _in_body(page: Page) -> dict[str, JSONInput]:
    return {f"page_{key}": value for key, value in page.items()}


def set_run_state(api: RestApi, dag_id: str, run_id: str, state: str) -> Call[DagRun]:
    """
    Set the state of a dag run (``PATCH dags/{dag_id}/dagRuns/{run_id}``).

    :param state: the new state; ``failed`` ends the run and its running tasks
    """
    return replace(get_dag_run(api, dag_id, run_id), method="PATCH", body={"state": state}, idempotent=True)


def clear_dag_run(api: RestApi, dag_id: str, run_id: str, *, only_failed: bool) -> Call[None]:
    """
    Clear a dag run so that it runs again.

    The endpoint is ``POST dags/{dag_id}/dagRuns/{run_id}/clear``; on API v1 with ``only_failed``, it is
    ``POST dags/{dag_id}/clearTaskInstances``.

    :param only_failed: whether only its failed tasks run again
    """
    path, body = api.clear_run(dag_id, run_id, only_failed=only_failed)
    return Call(
        method="POST",
        path=path,
        read=_read_cleared,
        about=_run_named(dag_id, run_id),
        body=body,
        dag_id=dag_id,
        idempotent=True,
    )


def clear_tasks(
    api: RestApi, dag_id: str, run_id: str, instances: Sequence[TaskInstance], *, reset_dag_runs: bool
) -> Call[None]:
    """
    Clear task instances of a dag run (``POST dags/{dag_id}/clearTaskInstances``).

    :param instances: the task instances to clear; on API v1, all instances of a mapped task are cleared if one is
    :param reset_dag_runs: whether the run is set to ``queued`` as well, so that it runs again
    """
    return Call(
        method="POST",
        path=f"{dag_path(dag_id)}/clearTaskInstances",
        read=_read_cleared,
        about=_run_named(dag_id, run_id),
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
    api: RestApi,
    page: Page,
    dag_id: str,
    run_id: str,
    filters: Mapping[str, JSONInput],
    *,
    group_id: str | None = None,
) -> Call[tuple[list[TaskInstance], int]]:
    """
    List the task instances of a dag run (``GET dags/{dag_id}/dagRuns/{run_id}/taskInstances``).

    :param run_id: the run; ``~`` for all runs
    :param filters: query parameters, e.g. ``state``; the same in both API versions
    :param group_id: list only this task group (Airflow 3.1.8 and later; earlier versions list the whole run)
    """
    return Call(
        method="GET",
        path=f"{run_path(dag_id, run_id)}/taskInstances",
        read=collection_reader("task_instances", api.task_instance),
        about=f"task instances of {_run_named(dag_id, run_id)}",
        params={**filters, **api.group_filter(group_id), **page},
        dag_id=dag_id,
    )


def get_task(api: RestApi, dag_id: str, task_id: str) -> Call[str]:
    """Get a task of a dag (``GET dags/{dag_id}/tasks/{task_id}``); the result is its id."""
    return Call(
        method="GET",
        path=f"{dag_path(dag_id)}/tasks/{segment(task_id)}",
        read=_read_task_id,
        about=f"task {task_id!r} of dag {dag_id!r}",
        dag_id=dag_id,
    )


def get_task_instance(api: RestApi, dag_id: str, run_id: str, task_id: str, map_index: int) -> Call[TaskInstance]:
    """
    Get a task instance (``GET dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}[/{map_index}]``).

    :param map_index: map index of a mapped task instance; -1 for a task that is not mapped
    """
    return Call(
        method="GET",
        path=task_instance_path(dag_id, run_id, task_id) + (f"/{map_index}" if map_index >= 0 else ""),
        read=api.task_instance,
        about=f"task {task_id!r} of {_run_named(dag_id, run_id)}",
        dag_id=dag_id,
    )


def get_task_log(
    api: RestApi, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int
) -> Call[list[LogEntry]]:
    """
    Get the log of one try of a task instance.

    The endpoint is ``GET dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}``.

    :param try_number: the try, counted from 1
    :param map_index: map index of a mapped task instance; -1 for a task that is not mapped
    """
    return Call(
        method="GET",
        path=f"{task_instance_path(dag_id, run_id, task_id)}/logs/{try_number}",
        read=api.log_entries,
        about=f"log of try {try_number} of task {task_id!r} of {_run_named(dag_id, run_id)}",
        params={"full_content": True, "map_index": map_index},
        dag_id=dag_id,
    )


def get_end_of_task_log(
    api: RestApi, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int
) -> Call[list[LogEntry]]:
    """Get the log of one try of a task instance like :func:`get_task_log`, but read only its last part."""
    whole = get_task_log(api, dag_id, run_id, task_id, try_number, map_index)
    return replace(whole, read_end=api.end_of_log)


def list_pools(api: RestApi, page: Page) -> Call[tuple[list[Pool], int]]:
    """List pools (``GET pools``)."""
    return Call(method="GET", path="pools", read=collection_reader("pools", _read_pool), about="pools", params=page)
