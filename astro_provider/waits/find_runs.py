"""Finding the runs that a wait is for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from astro_provider.api.calls import PAGE_SIZE
from astro_provider.api.dates import parse_date
from astro_provider.api.errors import NotFoundError, RequestNotPossible
from astro_provider.waits.hints import airflow_version

if TYPE_CHECKING:
    from datetime import datetime

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun
    from astro_provider.waits.wait import RunWait

MAX_RUNS_OF_PARTITION = 10 * PAGE_SIZE
"""Rows that are read to find the run of a partition: the filter also finds partitions whose keys contain the key."""

_FIRST_VERSION_WITH_PARTITIONS = (3, 2)


def find_runs(client: Client, wait: RunWait) -> Flow[list[DagRun]]:
    """
    Find the runs that a wait is for.

    :param client: the target
    :param wait: the wait, which is not for an idle dag
    :return: the runs that exist; none if the dag does not exist
    :raise RequestNotPossible: the wait is for a partition, and the target is older than Airflow 3.2
    :raise AstroError: another error of the target
    """
    try:
        if wait.run_id:
            run = yield from client.find_dag_run(wait.dag_id, wait.run_id)
        elif wait.latest:
            run = yield from _newest_run(client, wait.dag_id, wait.since)
        elif wait.partition_key is not None:
            run = yield from _run_of_partition(client, wait.dag_id, wait.partition_key)
        elif wait.logical_date_range:
            return (yield from _runs_in_range(client, wait.dag_id, *wait.logical_date_range))
        else:
            return (yield from _runs_with_dates(client, wait))
    except NotFoundError:
        return []
    return [run] if run else []


def due_date(run: DagRun) -> datetime | None:
    """
    Return when a run is or was due: its ``run_after`` or, on Airflow 2, the end of its data interval.

    On Airflow 2, a run that a user triggered has a data interval that ended before, and is due at its logical date.

    :param run: the run
    """
    if run["run_after"]:
        return parse_date(run["run_after"])
    dates = [parse_date(date) for date in (run["data_interval_end"], run["logical_date"]) if date]
    return max(dates, default=None)


def _newest_run(client: Client, dag_id: str, since: str | None) -> Flow[DagRun | None]:
    # A run that is scheduled for the future is not the newest one yet.
    now = client.at_target(time.time())
    filters = {"order_by": "-run_after", "run_after_lte": now}
    runs = yield from client.list_dag_runs(dag_id, **filters, limit=1)
    if not runs or since is None:
        return runs[0] if runs else None
    if runs[0]["run_after"] is None:
        # Airflow 2 orders runs by their logical date. The run that was due last can be behind those that users have
        # triggered since the logical date of that run.
        runs = yield from client.list_dag_runs(dag_id, **filters, limit=PAGE_SIZE)
    earliest = parse_date(since)
    due = [(date, run) for run in runs if (date := due_date(run)) is not None and date >= earliest]
    return max(due, key=lambda each: each[0])[1] if due else None


def _run_of_partition(client: Client, dag_id: str, partition_key: str) -> Flow[DagRun | None]:
    # The pattern is part of a SQL LIKE, in which "_" stands for any character, and a backslash for none.
    pattern = partition_key.replace("\\", "_")
    runs = yield from client.list_dag_runs(
        dag_id, partition_key_pattern=pattern, order_by="-run_after", limit=MAX_RUNS_OF_PARTITION
    )
    return next((run for run in runs if run["partition_key"] == partition_key), None)


def check_partitions(client: Client) -> Flow[None]:
    """
    Check whether the target has partitions (``GET version``).

    :param client: the target
    :raise RequestNotPossible: it is older than Airflow 3.2
    """
    version = yield from airflow_version(client)
    if tuple(int(part) for part in version.split(".")[:2]) < _FIRST_VERSION_WITH_PARTITIONS:
        raise RequestNotPossible(
            f"partition_key needs Airflow 3.2 or later in the target; {client.deployment} runs Airflow {version}"
        )


def _runs_in_range(client: Client, dag_id: str, start: str, end: str) -> Flow[list[DagRun]]:
    runs = yield from client.list_dag_runs(
        dag_id, logical_date_gte=start, logical_date_lte=end, order_by="logical_date"
    )
    before = parse_date(end)  # API v1 has no filter that leaves out the end
    return [run for run in runs if run["logical_date"] and parse_date(run["logical_date"]) < before]


def _runs_with_dates(client: Client, wait: RunWait) -> Flow[list[DagRun]]:
    runs = []
    for date in wait.logical_dates:
        if run := (yield from client.find_by_logical_date(wait.dag_id, date)):
            runs.append(run)
    return runs
