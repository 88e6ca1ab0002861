"""What the clear operator does in the target, as one flow."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from astro_provider.api import calls
from astro_provider.api.error_messages import similar_ids
from astro_provider.api.errors import (
    AstroError,
    NotClearedError,
    NotFoundError,
    TargetUnavailableError,
    TransportError,
    UnexpectedAnswerError,
)
from astro_provider.api.message import outcome_message
from astro_provider.api.repair import repair_dag_run
from astro_provider.api.states import FINISHED_DAG_RUN_STATES
from astro_provider.api.urls import encoded
from astro_provider.tasks.create_run import CLEARING
from astro_provider.tasks.existing_run import when_created
from astro_provider.waits.hints import explain_absence

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.api_versions import RestApi
    from astro_provider.api.call import Call
    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun, JSONInput, TaskInstance
    from astro_provider.tasks.clear_request import ClearRequest
    from astro_provider.tasks.clear_tries import EarlierTries

MAX_NAMED_TASKS = 20
"""How many tasks of a run an error names if none of them is similar to the one that does not exist."""

_FAILED = ("failed", "upstream_failed")


@dataclass(frozen=True)
class ClearedRun:
    """
    The run that a task cleared, or that it continues with.

    :param run: the run
    :param url: URL of the run in the target's UI
    :param attached: whether the task has, or might have, changed nothing in the run
    """

    run: DagRun
    url: str
    attached: bool


def clear_run(
    client: Client,
    request: ClearRequest,
    tries: EarlierTries,
    *,
    repairs: bool,
    store: Callable[[str, bool], None],
    log: Callable[[str], None],
) -> Flow[ClearedRun]:
    """
    Clear a run or some of its tasks, or continue with the run that an earlier try cleared.

    :param client: the target
    :param request: what the task wants to clear
    :param tries: what earlier tries have done
    :param repairs: whether the failed tasks of a run that an earlier try cleared, and that has failed since, are
        cleared, because the task waits for the run to succeed
    :param store: called with the run id, and with whether a try has cleared the run, to keep both for later tries
    :param log: called with what was done
    :return: the run
    :raise NotClearedError: the run, or a task of ``task_ids``, does not exist
    :raise AstroError: another error of the target
    """
    run = yield from _find_run(client, request, tries)
    run_id = run["dag_run_id"]
    url = client.run_url(run["dag_id"], run_id)
    message = partial(
        outcome_message,
        dag_id=run["dag_id"],
        facts=f", whose run was {run['state']},",
        where=client.deployment,
        run_id=run_id,
        url=url,
    )
    nothing = message("Nothing to clear", details="None of its tasks in question has failed")
    is_ours, is_done = _done_before(client, run, tries)
    store(run_id, is_ours)
    if is_done:
        log(message("Continuing", details="An earlier try cleared the run"))
        if repairs and run["state"] == "failed":
            log(message("Repairing", details=CLEARING))
            run = yield from repair_dag_run(client, run)
        return ClearedRun(run, url, attached=not is_ours)
    instances = yield from _instances_to_clear(client, request, run)
    if request.only_failed and not instances and (run["state"] != "failed" or request.task_ids):
        log(nothing)
        return ClearedRun(run, url, attached=True)
    if request.task_ids:
        what = f"{', '.join(request.task_ids)}{' and downstream' if request.include_downstream else ''}"
        run = yield from _clear_once(client, run, _tasks_call(request, run_id))
        if request.only_failed and run["state"] in FINISHED_DAG_RUN_STATES:  # those that have failed are not downstream
            log(nothing)
            return ClearedRun(run, url, attached=True)
    elif not request.only_failed:
        what = "all tasks"
        run = yield from _clear_once(client, run, _whole_run_call(run))
    elif run["state"] == "failed":
        what = "the tasks that failed, or were cut off when the run ended"
        run = yield from repair_dag_run(client, run)
    else:
        what = "the tasks that failed"
        run = yield from client.clear_dag_run(run["dag_id"], run_id, only_failed=True)
    store(run_id, True)
    failed = "failed among " if request.only_failed and request.task_ids else ""
    log(message("Cleared", details=f"{failed}{what}"))
    return ClearedRun(run, url, attached=False)


def _find_run(client: Client, request: ClearRequest, tries: EarlierTries) -> Flow[DagRun]:
    dag_id, date = request.dag_id, request.logical_date
    run_id = request.run_id
    if run_id is None and date is None and tries.retry:
        run_id = tries.run_id
    run = None
    with suppress(NotFoundError):  # the dag; explain_absence says so
        if run_id is not None:
            run = yield from client.find_dag_run(dag_id, run_id)
        elif date is not None:
            run = yield from client.find_by_logical_date(dag_id, date)
        else:
            # A run that is scheduled for the future is not the newest one yet.
            now = client.at_target(time.time())
            listed = yield from client.list_dag_runs(dag_id, order_by="-run_after", run_after_lte=now, limit=1)
            run = listed[0] if listed else None
    if run is not None:
        return run
    named = "such run" if run_id is not None else f"run with logical date {date}" if date else "run"
    hint = yield from explain_absence(client, dag_id, [date] if date else [])
    url = f"{client.deployment.url}/dags/{encoded(dag_id)}"
    facts, where = f" has no {named}", client.deployment
    raise NotClearedError(
        outcome_message("Not cleared", dag_id, facts, where=where, details=hint, run_id=run_id, url=url)
    )


def _done_before(client: Client, run: DagRun, tries: EarlierTries) -> tuple[bool, bool]:
    """Decide whether an earlier try is known to have cleared a run, and whether to continue with the run as it is."""
    if not tries.retry:
        return False, False
    queued = when_created(
        run,
        started_at=tries.started_at,
        started_at_is_after_clear=tries.started_at_is_after_clear,
        clock_lead=client.memory.clock_lead,
        logical_date_is_creation=False,
    )
    is_ours = queued == "since" or (tries.cleared and tries.run_id == run["dag_run_id"])
    # A run that is queued or has just started will run its tasks anyway, whoever cleared it.
    return is_ours, is_ours or (queued == "unknown" and run["state"] not in FINISHED_DAG_RUN_STATES)


def _instances_to_clear(client: Client, request: ClearRequest, run: DagRun) -> Flow[list[TaskInstance]]:
    """
    List the task instances in question, without those downstream unless failed ones are looked for.

    Airflow ignores ids of tasks that do not exist.

    :return: with ``only_failed``, the failed ones; otherwise, those of ``task_ids``; without ``task_ids``, none
    """
    if not request.task_ids and not request.only_failed:
        return []
    listed = yield from client.list_task_instances(run["dag_id"], run["dag_run_id"])
    existing = sorted({instance["task_id"] for instance in listed})
    for task_id in request.task_ids:
        if task_id not in existing:
            similar = similar_ids(task_id, existing) or existing[:MAX_NAMED_TASKS]
            raise NotClearedError(
                outcome_message(
                    "Not cleared",
                    run["dag_id"],
                    f" has no task {task_id!r} in this run",
                    where=client.deployment,
                    details=f"It has {', '.join(map(repr, similar)) or 'no tasks'}",
                    run_id=run["dag_run_id"],
                    url=client.run_url(run["dag_id"], run["dag_run_id"]),
                )
            )
    if request.only_failed:
        # Which tasks are downstream of a task only the target knows, so that all failed ones are kept.
        all_count = not request.task_ids or request.include_downstream
        return [
            each for each in listed if each["state"] in _FAILED and (all_count or each["task_id"] in request.task_ids)
        ]
    return [each for each in listed if each["task_id"] in request.task_ids]


def _whole_run_call(run: DagRun) -> Callable[[RestApi], Call[None]]:
    def make_call(api: RestApi) -> Call[None]:
        call = calls.clear_dag_run(api, run["dag_id"], run["dag_run_id"], only_failed=False)
        return replace(call, idempotent=False)

    return make_call


def _tasks_call(request: ClearRequest, run_id: str) -> Callable[[RestApi], Call[None]]:
    def make_call(api: RestApi) -> Call[None]:
        call = calls.clear_tasks(api, request.dag_id, run_id, (), reset_dag_runs=True)
        body: dict[str, JSONInput] = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": request.task_ids,
            "include_downstream": request.include_downstream,
            "only_failed": request.only_failed,
            "reset_dag_runs": True,
        }
        return replace(call, body=body, idempotent=False)

    return make_call


def _clear_once(client: Client, run: DagRun, make_call: Callable[[RestApi], Call[None]]) -> Flow[DagRun]:
    """
    Clear a run with a request that is not sent again after a lost response, because tasks could have begun to run.

    :return: the run afterwards, also if the response is lost, but the run shows that it was cleared
    """
    try:
        yield from client.call(make_call)
    except (TransportError, TargetUnavailableError, UnexpectedAnswerError) as error:
        found = None
        with suppress(AstroError):
            found = yield from client.get_dag_run(run["dag_id"], run["dag_run_id"])
        if found is None or not _was_queued_again(run, found):
            raise error
        return found
    return (yield from client.get_dag_run(run["dag_id"], run["dag_run_id"]))


def _was_queued_again(before: DagRun, now: DagRun) -> bool:
    """Compare a run before and after it was cleared: Airflow 3 sets ``queued_at``, Airflow 2 deletes the start."""
    if now["queued_at"] is not None:
        return now["queued_at"] != before["queued_at"]
    return now["start_date"] != before["start_date"]
