"""Which task instances of a run belong to a task group, whatever the target knows of groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api import calls
from astro_provider.api.errors import NotFoundError, RequestNotPossible

if TYPE_CHECKING:
    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun, TaskInstance

MAX_BELIEVED_SECONDS = 600.0
"""How long it is believed that a target filters by groups, or does not: it can be upgraded meanwhile."""

_NO_GROUP = "no-group-has-this-id"


def members(client: Client, run: DagRun, group_id: str, *, must_exist: bool) -> Flow[list[TaskInstance]]:
    """
    List the task instances of a task group.

    Airflow 3.1.8 and up filter by the group. Earlier ones list all tasks of the run, of which those are the group's
    whose ids begin with its id. Nothing tells there which tasks a group with ``prefix_group_id=False`` has.

    :param run: the run
    :param group_id: the group
    :param must_exist: whether a group without tasks is an error
    :return: its task instances; none where the run has none of the group (yet)
    :raise NotFoundError: with ``must_exist``, the run has tasks, but none of the group
    :raise RequestNotPossible: an Airflow 3 target that does not filter by groups has no task with such an id
    """
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    try:
        listed = yield from client.list_task_instances(dag_id, run_id, group_id=group_id)
    except NotFoundError:  # the target knows which groups there are
        listed = []
    prefixed = [task for task in listed if task["task_id"].startswith(f"{group_id}.")]
    if len(prefixed) < len(listed) and (yield from _filters(client, run)):
        return listed
    if prefixed:
        return prefixed
    if must_exist and (listed or (yield from client.list_task_instances(dag_id, run_id))):
        raise NotFoundError(f"{client.deployment} has no task group {group_id!r} in dag {dag_id!r}.", status=404)
    if listed and client.lists_groups():
        version = yield from client.call(calls.version)
        raise RequestNotPossible(
            f"Airflow {version} of {client.deployment} cannot list the tasks of a task group, and no task of dag "
            f"{dag_id!r} has an id that begins with '{group_id}.': there is no such group, or it has "
            "prefix_group_id=False. Name its tasks in external_task_ids instead."
        )
    return []


def _filters(client: Client, run: DagRun) -> Flow[bool]:
    """Say whether the target filters by groups, which it does if it finds nothing for a group that nobody has."""
    if not client.lists_groups():
        return False
    if client.memory.filters_groups is None or client.clock() >= client.memory.filters_groups_until:
        try:
            found, _ = yield from client.call(
                calls.list_task_instances, {"limit": 1}, run["dag_id"], run["dag_run_id"], {}, group_id=_NO_GROUP
            )
        except NotFoundError as error:
            if _NO_GROUP not in str(error):  # the run itself is gone, which says nothing of groups
                return False
            found = []
        client.memory.filters_groups = not found
        client.memory.filters_groups_until = client.clock() + MAX_BELIEVED_SECONDS
    return client.memory.filters_groups
