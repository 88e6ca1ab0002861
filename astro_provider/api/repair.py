"""Repairs a failed dag run: clears its failed tasks, and the tasks that were skipped because the run ended."""

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
"""Seconds that Airflow can need to skip all tasks when a run is marked failed."""

_FAILED = ("failed", "upstream_failed")


def repair_dag_run(client: Client, run: DagRun) -> Flow[DagRun]:
    """
    Clear the failed tasks of a failed run, and the tasks that were skipped because the run ended.

    Tasks that succeeded or that a branch skipped are left alone. If no task has to run again, because
    a user marked the run failed although no task had failed, the whole run is cleared. On an Airflow 2 target, a
    mapped task runs again as a whole if some of its instances were skipped.

    :param client: the target
    :param run: the run, as it was last seen
    :return: the run after the change
    """
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    instances = yield from client.list_task_instances(dag_id, run_id)
    failed = any(instance["state"] in _FAILED for instance in instances)
    cut = cut_off(run, instances)
    if cut:
        # These are cleared first. If tasks have failed, the run is not started yet: if the second request is lost, the
        # run is still failed, whereas a run that starts again without these tasks would end in a false success.
        yield from client.call(calls.clear_tasks, dag_id, run_id, cut, reset_dag_runs=not failed)
    if failed or not cut:
        return (yield from client.clear_dag_run(dag_id, run_id, only_failed=failed))
    return (yield from client.get_dag_run(dag_id, run_id))


def cut_off(run: DagRun, instances: Sequence[TaskInstance]) -> list[TaskInstance]:
    """
    Find the tasks that were skipped because the run ended, and not by a branch.

    * If the run exceeded its ``dagrun_timeout``, these tasks have no end date.
    * If the run was marked failed, they have the end date of the tasks that were killed, which is also that of the run
      unless it has a teardown. A task that was waiting for a retry has the end date of its last try.
    * A task that a branch skipped has an earlier end date, and no try.

    If the two cannot be distinguished (a branch was taken in the last seconds, or a task with retries skipped itself),
    the task counts as skipped because the run ended. A cleared task is skipped by its branch again, whereas a task that
    is not cleared would make the run a false success.

    :param run: the failed run
    :param instances: all of its task instances
    :return: the task instances that have to run again
    """
    skipped = [instance for instance in instances if instance["state"] == "skipped"]
    killed = [instance["end_date"] for instance in instances if instance["state"] == "failed"]
    ends = [parse_date(date) for date in (run["end_date"], *killed) if date]
    if run["end_date"] is None:
        return skipped
    return [instance for instance in skipped if _might_wait_for_retry(instance) or _ended_at(instance, ends)]


def _might_wait_for_retry(instance: TaskInstance) -> bool:
    max_tries = instance.get("max_tries")
    return instance["try_number"] > 0 and (not isinstance(max_tries, int) or max_tries > 0)


def _ended_at(instance: TaskInstance, ends: Sequence[datetime]) -> bool:
    if instance["end_date"] is None:
        return True
    end = parse_date(instance["end_date"])
    return any(abs((end - other).total_seconds()) <= MAX_MARKING_SECONDS for other in ends)
