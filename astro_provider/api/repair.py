"""Repairing a failed dag run: running again what failed in it, and what its end cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api import calls
from astro_provider.api.dates import parse_date

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun, TaskInstance

MAX_MARKING_SECONDS = 5.0
"""Seconds that Airflow may need, when a run is marked failed, from the first task that it skips to the last."""

_FAILED = ("failed", "upstream_failed")


def repair_dag_run(client: Client, run: DagRun) -> Flow[DagRun]:
    """
    Clear the tasks of a failed run that failed, and those that its end cut off; leave successes and branch skips.

    All of the run is cleared if none of its tasks needs to run again, as far as can be told: somebody marked a run
    failed in which everything had succeeded or been skipped. On an Airflow 2 target, a mapped task of which some
    instances were cut off runs again as a whole.

    :param client: the target
    :param run: the run, as it was last seen
    :return: the run as it is then
    """
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    instances = yield from client.list_task_instances(dag_id, run_id)
    failed = any(instance["state"] in _FAILED for instance in instances)
    cut = cut_off(run, instances)
    if cut:
        # First, and without starting the run again: should the second request be lost, the run is as failed as
        # before, while a run that starts again without these tasks would end in a false success.
        yield from client.call(calls.clear_tasks, dag_id, run_id, cut, reset_dag_runs=not failed)
    if failed or not cut:
        return (yield from client.clear_dag_run(dag_id, run_id, only_failed=failed))
    return (yield from client.get_dag_run(dag_id, run_id))


def cut_off(run: DagRun, instances: Sequence[TaskInstance]) -> list[TaskInstance]:
    """
    Find the tasks that were skipped because the run ended.

    A run that exceeds its ``dagrun_timeout`` leaves them without an end date. When a run is marked failed, they get
    the end date of the tasks that are killed with it, and of the run, unless a teardown is still to come; but a task
    that waits for a retry keeps the end date of its last try. A task that a branch has skipped has an earlier end
    date, and no try. Where a task cannot be told apart (a branch was taken in the last seconds, or a task with retries
    has skipped itself), it counts as cut off: Airflow skips what a branch has skipped again when it is cleared, but
    a task that is left out makes a false success.

    :param run: the failed run
    :param instances: all of its task instances
    """
    skipped = [instance for instance in instances if instance["state"] == "skipped"]
    killed = [instance["end_date"] for instance in instances if instance["state"] == "failed"]
    ends = [parse_date(date) for date in (run["end_date"], *killed) if date]
    if run["end_date"] is None:
        return skipped
    return [instance for instance in skipped if _may_wait_for_retry(instance) or _ended_at(instance, ends)]


def _may_wait_for_retry(instance: TaskInstance) -> bool:
    max_tries = instance.get("max_tries")
    return instance["try_number"] > 0 and (not isinstance(max_tries, int) or max_tries > 0)


def _ended_at(instance: TaskInstance, ends: Sequence[datetime]) -> bool:
    if instance["end_date"] is None:
        return True
    end = parse_date(instance["end_date"])
    return any(abs((end - other).total_seconds()) <= MAX_MARKING_SECONDS for other in ends)
