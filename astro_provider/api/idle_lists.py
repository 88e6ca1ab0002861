"""Lists of what runs in one or several dags. Each one is a single page, which shows whether there is anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from astro_provider.api import calls
from astro_provider.api.states import ACTIVE_TASK_STATES, DAG_RUN_STATES, FINISHED_DAG_RUN_STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import Dag, DagRun, TaskInstance

    TaskPage: TypeAlias = tuple[list[TaskInstance], int]
    RunPage: TypeAlias = tuple[list[DagRun], int]
    DagPage: TypeAlias = tuple[list[Dag], int]

UNFINISHED_RUN_STATES = tuple(state for state in DAG_RUN_STATES if state not in FINISHED_DAG_RUN_STATES)


def active_tasks_of_dag(client: Client, dag_id: str, limit: int) -> Flow[TaskPage]:
    """
    List task instances of a dag in ``ACTIVE_TASK_STATES`` (``GET dags/{dag_id}/dagRuns/~/taskInstances``).

    :param client: the target
    :param dag_id: the dag
    :param limit: maximum number of rows
    :return: the rows, and the number of all active task instances of the dag
    :raise AstroError: the list failed
    """
    page = {"limit": limit, "offset": 0}
    return client.call(calls.list_task_instances, page, dag_id, "~", {"state": ACTIVE_TASK_STATES})


def unfinished_runs_of_dag(client: Client, dag_id: str, limit: int) -> Flow[RunPage]:
    """
    List queued and running runs of a dag (``GET dags/{dag_id}/dagRuns``).

    :param client: the target
    :param dag_id: the dag
    :param limit: maximum number of rows
    :return: the rows, and the number of all unfinished runs of the dag
    :raise AstroError: the list failed
    """
    page = {"limit": limit, "offset": 0}
    runs, total = yield from client.call(calls.list_dag_runs, page, dag_id, {"state": UNFINISHED_RUN_STATES})
    if any(run["state"] in FINISHED_DAG_RUN_STATES for run in runs):  # Airflow 2.1 ignores the filter
        listed = yield from client.list_dag_runs(dag_id)
        runs = [run for run in listed if run["state"] in UNFINISHED_RUN_STATES]
        total = len(runs)
    return runs[:limit], total


def active_tasks(client: Client, dag_ids: Sequence[str]) -> Flow[TaskPage]:
    """
    List task instances of several dags in ``ACTIVE_TASK_STATES`` (``POST dags/~/dagRuns/~/taskInstances/list``).

    :param client: the target
    :param dag_ids: the dags
    :return: the rows of the first page, and the number of rows on all pages
    :raise AstroError: the list failed; a target refuses it if the token cannot list across dags, and before
        Airflow 2.4.2
    """
    filters = {"dag_ids": dag_ids, "state": ACTIVE_TASK_STATES}
    return client.pages(calls.search_task_instances, filters, idempotent=False)(_FIRST_PAGE)


def unfinished_runs(client: Client, dag_ids: Sequence[str]) -> Flow[RunPage]:
    """
    List queued and running runs of several dags (``POST dags/~/dagRuns/list``).

    :param client: the target
    :param dag_ids: the dags
    :return: the rows of the first page, and the number of rows on all pages
    :raise AstroError: the list failed; a target refuses it if the token cannot list across dags, and Airflow 2.1 and
        2.2 always
    """
    filters = {"dag_ids": dag_ids, "states": UNFINISHED_RUN_STATES}
    return client.pages(calls.search_dag_runs, filters)(_FIRST_PAGE)


def paused_dags(client: Client, offset: int) -> Flow[DagPage]:
    """
    List paused dags (``GET dags``), also those whose file does not exist any more, because their tasks go on.

    :param client: the target
    :param offset: number of paused dags before the first row
    :return: the rows of one page, and the number of all paused dags
    :raise AstroError: the list failed; Airflow refuses it before 2.6
    """
    page = {"limit": calls.PAGE_SIZE, "offset": offset}
    return client.call(calls.list_dags, page, {"paused": True, "order_by": "dag_id"}, with_stale=True)


_FIRST_PAGE = {"limit": calls.PAGE_SIZE, "offset": 0}
