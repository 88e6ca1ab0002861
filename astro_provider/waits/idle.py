"""One check of a wait for an idle dag: whether anything of it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api.errors import NotFoundError
from astro_provider.api.idle_lists import active_tasks_of_dag, unfinished_runs_of_dag
from astro_provider.api.message import outcome_message
from astro_provider.waits.wait import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.waits.hints import Hints

MAX_NAMED = 3
"""How many task instances or runs a message names."""


def check_idle(client: Client, dag_id: str, hints: Hints | None = None) -> Flow[Verdict]:
    """
    Check whether a dag is idle, with one request while its tasks run, and with three at most.

    A dag is idle if none of its task instances is in ``ACTIVE_TASK_STATES`` and, unless it is paused, none of its runs
    is queued or running. The runs of a paused dag are not asked for, because they stay unfinished until it is unpaused.

    :param client: the target
    :param dag_id: the dag
    :param hints: explain why the dag does not exist; ``None`` for no explanation
    :return: the verdict: ``success``, or ``pending`` with what still runs. A dag that does not exist is ``pending``
    :raise AstroError: the target did not answer, or refused a request
    """
    try:
        return (yield from _check_existing(client, dag_id))
    except NotFoundError:
        hint = (yield from hints.give(client, dag_id, ())) if hints else ""
        return Verdict("pending", outcome_message("Not there yet", dag_id, where=client.deployment), hint=hint)


def _check_existing(client: Client, dag_id: str) -> Flow[Verdict]:
    if busy := (yield from _describe_tasks(client, dag_id)):
        return _pending(client, dag_id, busy)
    if (yield from client.get_dag(dag_id))["is_paused"]:
        # Only what was listed after the pause counts: the scheduler might have queued a task between the first list
        # and the pause.
        busy = yield from _describe_tasks(client, dag_id)
        why = "It is paused, and none of its tasks runs"
    else:
        busy = yield from _describe_runs(client, dag_id)
        why = "Nothing of it is queued or running"
    if busy:
        return _pending(client, dag_id, busy)
    message = outcome_message("Idle", dag_id, where=client.deployment, details=why)
    return Verdict("success", message, state="idle")


def _pending(client: Client, dag_id: str, busy: str) -> Verdict:
    message = outcome_message("Not idle", dag_id, where=client.deployment, details=busy)
    return Verdict("pending", message, state="not idle")


def _describe_tasks(client: Client, dag_id: str) -> Flow[str]:
    """Say which tasks are active; empty if there are none."""
    tasks, total = yield from active_tasks_of_dag(client, dag_id, MAX_NAMED)
    named = []
    for task in tasks:
        index = f"[{task['map_index']}]" if task["map_index"] >= 0 else ""
        state = "" if task["state"] == "running" else f" is {task['state']}"
        named.append(f"{task['task_id']}{index} in run {task['dag_run_id']}{state}")
    return _describe("task", total, named)


def _describe_runs(client: Client, dag_id: str) -> Flow[str]:
    """Say which runs are queued or running; empty if there are none."""
    runs, total = yield from unfinished_runs_of_dag(client, dag_id, MAX_NAMED)
    return _describe("run", total, [f"{run['dag_run_id']} is {run['state']}" for run in runs])


def _describe(kind: str, total: int, named: Sequence[str]) -> str:
    if not total:
        return ""
    more = f", and {total - len(named)} more" if total > len(named) else ""
    return f"{total} {kind}{'s' if total > 1 else ''} not finished ({', '.join(named)}{more})"
