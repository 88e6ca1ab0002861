"""What has finished in one Deployment: dag runs, and task instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api import poll_lists
from astro_provider.api.errors import InvalidRequestError
from astro_provider.api.types import DagRun, TaskInstance
from astro_provider.triggers.watcher.feed import LIST_BY_DAG_SECONDS, Feed

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.triggers.watcher.batches import Batch
    from astro_provider.triggers.watcher.plan import Plan

MAX_RUNS_IN_FILTER = 1000
"""Run ids that a list of task instances is filtered by; with more it is filtered by dags and tasks only."""


class FinishedRuns(Feed[DagRun]):
    """Lists the dag runs that have finished."""

    rows_named = "dag runs"

    def _list(self, client: Client, plan: Plan, ended_after: str) -> Flow[list[DagRun]]:
        return poll_lists.finished_runs(client, plan.dag_ids, ended_after, plan.due_after)

    def _list_dag(self, client: Client, dag_id: str, ended_after: str, plan: Plan) -> Flow[list[DagRun]]:
        return poll_lists.finished_runs_of_dag(client, dag_id, ended_after, plan.due_after)

    def unfinished(self, client: Client, batch: Batch) -> Flow[list[DagRun]]:
        """List the runs that are queued or running."""
        if batch.by_dag:
            return poll_lists.unfinished_runs_of_dag(client, batch.dag_ids[0], *batch.due)
        return poll_lists.unfinished_runs(client, batch.dag_ids, *batch.due)

    def _key(self, row: DagRun) -> Hashable:
        return (row["dag_id"], row["dag_run_id"], row["end_date"])


class FinishedTasks(Feed[TaskInstance]):
    """Lists the task instances that have finished, of the runs and tasks that are waited for."""

    rows_named = "task instances"

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._unfiltered_until = float("-inf")

    def _list(self, client: Client, plan: Plan, ended_after: str) -> Flow[list[TaskInstance]]:
        rows: list[TaskInstance] = []
        try:
            for dag_ids, run_ids, task_ids in plan.filters:
                rows += yield from poll_lists.finished_tasks(
                    client, dag_ids, ended_after, run_ids=run_ids, task_ids=task_ids
                )
        except InvalidRequestError:  # early versions of Airflow 2 filter by dags only
            rows = yield from poll_lists.finished_tasks(client, plan.dag_ids, ended_after)
            self._unfiltered_until = self._clock() + LIST_BY_DAG_SECONDS
        return rows

    def _list_dag(self, client: Client, dag_id: str, ended_after: str, plan: Plan) -> Flow[list[TaskInstance]]:
        return poll_lists.finished_tasks_of_dag(client, dag_id, ended_after)

    def unfinished(self, client: Client, batch: Batch) -> Flow[list[TaskInstance]]:
        """List the instances of the tasks, in whatever state."""
        return poll_lists.instances_of_tasks(client, batch.dag_ids, batch.run_ids, batch.task_ids)

    def _lists_unfinished(self) -> bool:
        return not self.lists_by_dag and super()._lists_unfinished()  # dag by dag, they cannot be filtered by runs

    def _key(self, row: TaskInstance) -> Hashable:
        return (row["dag_id"], row["dag_run_id"], row["task_id"], row["map_index"], row["end_date"])

    def _filters(self) -> Sequence[tuple[Sequence[str], Sequence[str] | None, Sequence[str] | None]]:
        """Filter by tasks where tasks are waited for, and by runs where all are known; a group names no tasks."""
        if self._clock() < self._unfiltered_until:
            return [(sorted(self._since), None, None)]
        filters = []
        of_tasks = [each for each in self._line if each.wait.task_ids]
        of_groups = [each for each in self._line if not each.wait.task_ids]
        for waiting in filter(None, (of_tasks, of_groups)):
            run_ids = {each.run_id for each in waiting}
            filtered = None not in run_ids and len(run_ids) <= MAX_RUNS_IN_FILTER
            filters.append(
                (
                    sorted({each.wait.dag_id for each in waiting}),
                    sorted(filter(None, run_ids)) if filtered else None,
                    sorted({task_id for each in waiting for task_id in each.wait.task_ids}) or None,
                )
            )
        return filters
