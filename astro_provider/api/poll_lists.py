"""The lists that a poll requests: each one checks many waits at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api import calls
from astro_provider.api.errors import UnexpectedAnswerError
from astro_provider.api.paging import RUN_KEYS, TASK_INSTANCE_KEYS, read_list, read_start
from astro_provider.api.states import DAG_RUN_STATES, FINISHED_DAG_RUN_STATES, FINISHED_TASK_STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun, JSONInput, TaskInstance

MAX_UNFINISHED_ROWS = 3 * calls.PAGE_SIZE
"""Rows of a list of unfinished runs that are read: a dag can have many more of them than there are waits."""

MAX_ROWS_IN_RANGE = 10 * calls.PAGE_SIZE
"""Rows of a list of the runs in a range of logical dates from which on each wait is checked individually."""

_UNFINISHED = [state for state in DAG_RUN_STATES if state not in FINISHED_DAG_RUN_STATES]


def finished_runs(client: Client, dag_ids: Sequence[str], ended_after: str, due_after: str) -> Flow[list[DagRun]]:
    """
    List the runs of several dags that have finished since a time (``POST dags/~/dagRuns/list``).

    :param client: the target
    :param dag_ids: the dags
    :param ended_after: the earliest end date, ISO 8601 by the target's clock
    :param due_after: the earliest ``run_after`` (v1: logical date), ISO 8601 by the target's clock
    :return: the runs, ordered by end date
    :raise AstroError: the list failed; a target refuses it if the token cannot list across dags
    """
    # API v2 has an index for run_after, but none for end_date.
    filters = {"dag_ids": dag_ids, "end_date_gte": ended_after, "run_after_gte": due_after, "order_by": "end_date"}
    return read_list(client.pages(calls.search_dag_runs, filters, only_finished=True), RUN_KEYS)


def finished_runs_of_dag(client: Client, dag_id: str, ended_after: str, due_after: str) -> Flow[list[DagRun]]:
    """Like :func:`finished_runs`, for one dag and a token that cannot list across dags."""
    # Not filtered by state, as Airflow 2.1 cannot do that, and only finished runs have an end date anyway.
    return client.list_dag_runs(dag_id, end_date_gte=ended_after, run_after_gte=due_after)


def finished_tasks(
    client: Client,
    dag_ids: Sequence[str],
    ended_after: str,
    *,
    run_ids: Sequence[str] | None = None,
    task_ids: Sequence[str] | None = None,
) -> Flow[list[TaskInstance]]:
    """
    List the task instances that have finished since a time (``POST dags/~/dagRuns/~/taskInstances/list``).

    :param client: the target
    :param dag_ids: the dags
    :param ended_after: the earliest end date, ISO 8601 by the target's clock
    :param run_ids: only task instances of these runs; by default, of all runs
    :param task_ids: only instances of these tasks; by default, of all tasks
    :raise InvalidRequestError: an early version of Airflow 2, which does not filter by runs and tasks
    """
    filters = {
        "dag_ids": dag_ids,
        "dag_run_ids": run_ids,
        "task_ids": task_ids,
        "state": FINISHED_TASK_STATES,
        "end_date_gte": ended_after,
    }
    return read_list(client.pages(calls.search_task_instances, filters, idempotent=False), TASK_INSTANCE_KEYS)


def finished_tasks_of_dag(client: Client, dag_id: str, ended_after: str) -> Flow[list[TaskInstance]]:
    """Like :func:`finished_tasks`, for one dag and a token that cannot list across dags."""
    return client.list_task_instances(dag_id, "~", state=FINISHED_TASK_STATES, end_date_gte=ended_after)


def unfinished_runs(client: Client, dag_ids: Sequence[str], due_from: str, due_until: str) -> Flow[list[DagRun]]:
    """
    List the queued and running runs of several dags (``POST dags/~/dagRuns/list``).

    :param client: the target
    :param dag_ids: the dags
    :param due_from: the earliest ``run_after`` (v1: logical date), as the target wrote it
    :param due_until: the latest ``run_after`` (v1: logical date), as the target wrote it
    :return: the runs, at most ``MAX_UNFINISHED_ROWS``
    :raise AstroError: the list failed; Airflow 2.1 and 2.2 refuse it, and any target if the token cannot list across
        dags
    """
    filters: dict[str, JSONInput] = {
        "dag_ids": dag_ids,
        "states": _UNFINISHED,
        "run_after_gte": due_from,
        "run_after_lte": due_until,
        "order_by": "id",
    }
    return read_list(client.pages(calls.search_dag_runs, filters), RUN_KEYS, MAX_UNFINISHED_ROWS)


def oldest_unfinished_runs(client: Client, dag_ids: Sequence[str], max_rows: int) -> Flow[list[DagRun]]:
    """
    List queued and running runs of several dags (``POST dags/~/dagRuns/list``), beginning with those created first.

    The rows that are read answer waits that join together. A row that is missing costs only a request, so the list is
    not read again if it changes meanwhile.

    :param client: the target
    :param dag_ids: the dags
    :param max_rows: maximum number of rows: a dag can have many more of them than there are waits
    :raise AstroError: the list failed, see :func:`unfinished_runs`
    """
    filters: dict[str, JSONInput] = {"dag_ids": dag_ids, "states": _UNFINISHED, "order_by": "id"}
    return read_start(client.pages(calls.search_dag_runs, filters), max_rows)


def unfinished_runs_of_dag(client: Client, dag_id: str, due_from: str, due_until: str) -> Flow[list[DagRun]]:
    """Like :func:`unfinished_runs`, for one dag; on Airflow 2.1, the list also has finished runs."""
    return client.list_dag_runs(
        dag_id, state=_UNFINISHED, run_after_gte=due_from, run_after_lte=due_until, limit=MAX_UNFINISHED_ROWS
    )


def runs_in_range(client: Client, dag_ids: Sequence[str], start: str, end: str, *, by_dag: bool) -> Flow[list[DagRun]]:
    """
    List the runs of several dags with logical dates in a range, in any state (``POST dags/~/dagRuns/list``).

    :param client: the target
    :param dag_ids: the dags
    :param start: the earliest logical date (ISO 8601)
    :param end: the latest logical date (ISO 8601)
    :param by_dag: whether the token is only allowed to list the runs of one dag at a time. ``dag_ids`` is then one dag
    :return: all of these runs
    :raise UnexpectedAnswerError: there are ``MAX_ROWS_IN_RANGE`` or more
    :raise AstroError: the list failed
    """
    filters: dict[str, JSONInput] = {"logical_date_gte": start, "logical_date_lte": end}
    if by_dag:
        rows = yield from client.list_dag_runs(dag_ids[0], **filters, limit=MAX_ROWS_IN_RANGE)
    else:
        filters = {"dag_ids": dag_ids, **filters, "order_by": "id"}
        rows = yield from read_list(client.pages(calls.search_dag_runs, filters), RUN_KEYS, MAX_ROWS_IN_RANGE)
    if len(rows) >= MAX_ROWS_IN_RANGE:
        raise UnexpectedAnswerError(f"There are {len(rows)} or more runs with logical dates from {start} to {end}.")
    return rows


def instances_of_tasks(
    client: Client, dag_ids: Sequence[str], run_ids: Sequence[str], task_ids: Sequence[str]
) -> Flow[list[TaskInstance]]:
    """
    List the instances of some tasks of some runs, in any state (``POST dags/~/dagRuns/~/taskInstances/list``).

    :param client: the target
    :param dag_ids: the dags
    :param run_ids: the runs
    :param task_ids: the tasks
    :return: all of these task instances; empty if there are ``MAX_UNFINISHED_ROWS`` or more
    :raise AstroError: the list failed; early versions of Airflow 2 refuse it
    """
    filters = {"dag_ids": dag_ids, "dag_run_ids": run_ids, "task_ids": task_ids}
    pages = client.pages(calls.search_task_instances, filters, idempotent=False)
    rows = yield from read_list(pages, TASK_INSTANCE_KEYS, MAX_UNFINISHED_ROWS)
    return rows if len(rows) < MAX_UNFINISHED_ROWS else []
