"""Lists of unfinished runs and of task instances in a target, so that one request checks many waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api import calls
from astro_provider.api.paging import RUN_KEYS, TASK_INSTANCE_KEYS, read_list
from astro_provider.api.states import DAG_RUN_STATES, FINISHED_DAG_RUN_STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun, JSONInput, TaskInstance

MAX_ROWS = 3 * calls.PAGE_SIZE
"""Rows of a list that are read: a dag may have many more unfinished runs than anybody waits for."""

_UNFINISHED = [state for state in DAG_RUN_STATES if state not in FINISHED_DAG_RUN_STATES]


def unfinished_runs(client: Client, dag_ids: Sequence[str], due_from: str, due_until: str) -> Flow[list[DagRun]]:
    """
    List the queued and running runs of several dags, up to ``MAX_ROWS``: one request, but for more than a page.

    :param client: the target
    :param dag_ids: the dags
    :param due_from: the earliest ``run_after`` (v1: logical date), as the target has written it
    :param due_until: the latest
    :raise AstroError: the list failed; Airflow 2.1 and 2.2 refuse it, as does a target whose token may not list across
        dags
    """
    filters: dict[str, JSONInput] = {
        "dag_ids": dag_ids,
        "states": _UNFINISHED,
        "run_after_gte": due_from,
        "run_after_lte": due_until,
        "order_by": "id",
    }
    return read_list(client.pages(calls.search_dag_runs, filters), RUN_KEYS, MAX_ROWS)


def unfinished_runs_of_dag(client: Client, dag_id: str, due_from: str, due_until: str) -> Flow[list[DagRun]]:
    """List the same of one dag, for a token that may not list across dags; Airflow 2.1 lists finished runs, too."""
    return client.list_dag_runs(
        dag_id, state=_UNFINISHED, run_after_gte=due_from, run_after_lte=due_until, limit=MAX_ROWS
    )


def instances_of_tasks(
    client: Client, dag_ids: Sequence[str], run_ids: Sequence[str], task_ids: Sequence[str]
) -> Flow[list[TaskInstance]]:
    """
    List the instances of some tasks of some runs, in whatever state.

    :return: all of them; none where there are more than ``MAX_ROWS``
    :raise AstroError: the list failed; early versions of Airflow 2 refuse it
    """
    filters = {"dag_ids": dag_ids, "dag_run_ids": run_ids, "task_ids": task_ids}
    pages = client.pages(calls.search_task_instances, filters, idempotent=False)
    rows = yield from read_list(pages, TASK_INSTANCE_KEYS, MAX_ROWS)
    return rows if len(rows) < MAX_ROWS else []
