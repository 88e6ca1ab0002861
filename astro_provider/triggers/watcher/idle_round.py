"""Finds out which of several dags might be idle, by lists of one page each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api.idle_lists import active_tasks, paused_dags, unfinished_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun, TaskInstance


class IdleRound:
    """
    Finds out once for each of several dags whether it might be idle, in three steps.

    1. List active task instances. The dags of the rows are not idle, and are left out of the next list. When the rows
       of a list are all there are, the other dags have no active tasks.
    2. In the same way, list the unfinished runs of the dags without active tasks. A dag without them might be idle.
    3. List the paused dags. A dag with unfinished runs, but without active tasks, might be idle if it is paused.

    Only the first page of a list of tasks or runs is requested, because the next list is about other dags. A round of
    1,000 dags is therefore three requests at most if no list has more rows than a page, and about one request for each
    hundred dags if all of them are busy.

    :param dag_ids: the dags
    """

    def __init__(self, dag_ids: Iterable[str]) -> None:
        self._unknown = set(dag_ids)
        self._without_tasks: set[str] = set()
        self._with_runs: set[str] = set()
        self._paused_count = 0

    @property
    def is_over(self) -> bool:
        """Whether every dag has been answered."""
        return not (self._unknown or self._without_tasks or self._with_runs)

    def next_list(self, client: Client) -> Flow[set[str]]:
        """
        Request the next list of a round that is not over.

        :param client: the target
        :return: the dags that might be idle, according to this list
        :raise AstroError: the list failed; the next call requests it again
        """
        if self._unknown:
            tasks, total = yield from active_tasks(client, sorted(self._unknown))
            _, free, self._unknown = _sort(self._unknown, tasks, total)
            self._without_tasks |= free
            return set()
        if self._without_tasks:
            runs, total = yield from unfinished_runs(client, sorted(self._without_tasks))
            busy, free, self._without_tasks = _sort(self._without_tasks, runs, total)
            self._with_runs |= busy
            return free
        return (yield from self._list_paused(client))

    def _list_paused(self, client: Client) -> Flow[set[str]]:
        dags, total = yield from paused_dags(client, self._paused_count)
        self._paused_count += len(dags)
        paused = self._with_runs & {dag["dag_id"] for dag in dags}
        self._with_runs -= paused
        if not dags or self._paused_count >= total:
            self._with_runs.clear()
        return paused


def _sort(
    dag_ids: set[str], rows: Sequence[TaskInstance] | Sequence[DagRun], total: int
) -> tuple[set[str], set[str], set[str]]:
    """
    Sort dags by the first page of a list.

    :return: the dags with a row; those without a row on any page; those that might have rows on other pages
    """
    busy = dag_ids & {row["dag_id"] for row in rows}
    others = dag_ids - busy
    is_complete = len(rows) >= total or not busy
    return (busy, others, set()) if is_complete else (busy, set(), others)
