"""The task instances of a task group, whether or not the target can filter by groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api import calls
from astro_provider.api.errors import NotFoundError, RequestNotPossible

if TYPE_CHECKING:
    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun, TaskInstance

RECHECK_FILTER_SECONDS = 600.0
"""Seconds after which a target is checked again for a filter by groups, because it might have been upgraded."""

_NO_GROUP = "no-group-has-this-id"


def members(client: Client, run: DagRun, group_id: str, *, must_exist: bool) -> Flow[list[TaskInstance]]:
    """
    List the task instances of a task group in a dag run.

    Airflow 3.1.8 and later filter by the group. Earlier versions list all tasks of the run, and those whose ids begin
    with the id of the group belong to it. The tasks of a group with ``prefix_group_id=False`` cannot be found there.

    :param client: the target
    :param run: the run
    :param group_id: the group
    :param must_exist: whether it is an error if the run has no tasks of the group
    :return: the task instances; empty if the run has none of the group (yet)
    :raise NotFoundError: with ``must_exist``, the run has tasks, but none of the group
    :raise RequestNotPossible: without ``must_exist``, an Airflow 3 target that does not filter by groups has no task
        whose id begins with that of the group
    """
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    try:
        listed = yield from client.list_task_instances(dag_id, run_id, group_id=group_id)
    except NotFoundError:  # the group does not exist, in a version that filters by groups
        listed = []
    prefixed = [task for task in listed if task["task_id"].startswith(f"{group_id}.")]
    if len(prefixed) < len(listed) and (yield from _filters(client, run)):
        return listed
    if prefixed:
        return prefixed
    if must_exist and (listed or (yield from client.list_task_instances(dag_id, run_id))):
        raise NotFoundError(f"{client.deployment} has no task group {group_id!r} in dag {dag_id!r}.", status=404)
    if listed and client.api_has_group_filter():
        version = yield from client.call(calls.version)
        raise RequestNotPossible(
            f"Airflow {version} of {client.deployment} cannot list the tasks of a task group, and no task of dag "
            f"{dag_id!r} has an id that begins with '{group_id}.': there is no such group, or it has "
            "prefix_group_id=False. Name its tasks in external_task_ids instead."
        )
    return []


def _filters(client: Client, run: DagRun) -> Flow[bool]:
    """Find out whether the target filters by groups: it does if the list for a group that does not exist is empty."""
    if not client.api_has_group_filter():
        return False
    if client.memory.filters_groups is None or client.clock() >= client.memory.filters_groups_until:
        try:
            found, _ = yield from client.call(
                calls.list_task_instances, {"limit": 1}, run["dag_id"], run["dag_run_id"], {}, group_id=_NO_GROUP
            )
        except NotFoundError as error:
            if _NO_GROUP not in str(error):  # the run itself was deleted
                return False
            found = []
        client.memory.filters_groups = not found
        client.memory.filters_groups_until = client.clock() + RECHECK_FILTER_SECONDS
    return client.memory.filters_groups
