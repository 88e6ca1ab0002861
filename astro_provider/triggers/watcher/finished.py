"""The feeds of a watcher: finished dag runs, and finished task instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api import poll_lists
from astro_provider.api.errors import InvalidRequestError
from astro_provider.api.types import DagRun, TaskInstance
from astro_provider.triggers.watcher.feed import Feed
from astro_provider.triggers.watcher.listing import TaskFilter
from astro_provider.triggers.watcher.polled_waits import RETRY_LIST_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.triggers.watcher.batches import Batch
    from astro_provider.triggers.watcher.listing import ListRequest

MAX_RUNS_IN_FILTER = 1000
"""Maximum number of run ids in the filter of a list of task instances. With more, the list is not filtered by runs."""


class FinishedRuns(Feed[DagRun]):
    """Lists the dag runs that have finished, for waits for runs."""

    rows_name = "dag runs"

    def _list_across_dags(self, client: Client, request: ListRequest, ended_after: str) -> Flow[list[DagRun]]:
        return poll_lists.finished_runs(client, request.dag_ids, ended_after, request.due_after)

    def _list_dag(self, client: Client, dag_id: str, ended_after: str, request: ListRequest) -> Flow[list[DagRun]]:
        return poll_lists.finished_runs_of_dag(client, dag_id, ended_after, request.due_after)

    def list_batch(self, client: Client, batch: Batch) -> Flow[list[DagRun]]:
        """
        List the queued and running runs of the dags of a batch that are due between its first and its last run.

        For waits for ranges, all runs of these dags in the ranges are listed.

        :param client: the target
        :param batch: the batch
        :raise AstroError: the list failed
        """
        if (date_range := batch.logical_date_range) is not None:
            return poll_lists.runs_in_range(client, batch.dag_ids, *date_range, by_dag=batch.by_dag)
        if batch.by_dag:
            return poll_lists.unfinished_runs_of_dag(client, batch.dag_ids[0], *batch.due_range)
        return poll_lists.unfinished_runs(client, batch.dag_ids, *batch.due_range)

    def has_listed(self, run: DagRun) -> bool:
        """
        Return whether a list has shown a run as finished. No later list wakes a wait for this row again.

        :param run: the run
        """
        return self._key(run) in self._seen_rows

    def _key(self, row: DagRun) -> Hashable:
        return (row["dag_id"], row["dag_run_id"])


class FinishedTasks(Feed[TaskInstance]):
    """
    Lists the task instances that have finished, for waits for tasks and task groups.

    :param clock: returns the time in seconds since the epoch
    """

    rows_name = "task instances"

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._unfiltered_until = float("-inf")

    def _list_across_dags(self, client: Client, request: ListRequest, ended_after: str) -> Flow[list[TaskInstance]]:
        rows: list[TaskInstance] = []
        try:
            for dag_ids, run_ids, task_ids in request.task_filters:
                rows += yield from poll_lists.finished_tasks(
                    client, dag_ids, ended_after, run_ids=run_ids, task_ids=task_ids
                )
        except InvalidRequestError:  # early versions of Airflow 2 filter by dags only
            rows = yield from poll_lists.finished_tasks(client, request.dag_ids, ended_after)
            self._unfiltered_until = self._clock() + RETRY_LIST_SECONDS
        return rows

    def _list_dag(
        self, client: Client, dag_id: str, ended_after: str, request: ListRequest
    ) -> Flow[list[TaskInstance]]:
        return poll_lists.finished_tasks_of_dag(client, dag_id, ended_after)

    def list_batch(self, client: Client, batch: Batch) -> Flow[list[TaskInstance]]:
        """
        List the instances of the tasks of a batch, in any state.

        :param client: the target
        :param batch: the batch
        :raise AstroError: the list failed
        """
        return poll_lists.instances_of_tasks(client, batch.dag_ids, batch.run_ids, batch.task_ids)

    def can_batch(self) -> bool:
        """Return whether the target answers lists of what has not finished, as far as is known."""
        # Lists of one dag cannot be filtered by runs.
        return not self.lists_by_dag and super().can_batch()

    def _key(self, row: TaskInstance) -> Hashable:
        return (row["dag_id"], row["dag_run_id"], row["task_id"], row["map_index"])

    def _task_filters(self) -> Sequence[TaskFilter]:
        """Make a filter for the waits for tasks, and one without task ids for the waits for groups."""
        if self._clock() < self._unfiltered_until:
            return [TaskFilter(sorted(self._listed_until), None, None)]
        filters = []
        for_tasks = [each for each in self.subscriptions if each.wait.task_ids]
        for_groups = [each for each in self.subscriptions if not each.wait.task_ids]
        for waits in filter(None, (for_tasks, for_groups)):
            run_ids = {each.run_id for each in waits}
            can_filter_runs = None not in run_ids and len(run_ids) <= MAX_RUNS_IN_FILTER
            filters.append(
                TaskFilter(
                    dag_ids=sorted({each.wait.dag_id for each in waits}),
                    run_ids=sorted(filter(None, run_ids)) if can_filter_runs else None,
                    task_ids=sorted({task_id for each in waits for task_id in each.wait.task_ids}) or None,
                )
            )
        return filters
