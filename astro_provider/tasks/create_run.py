"""Creating a run or, if the run exists already, finding it and doing what ``existing_run`` decides."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from astro_provider.api.dates import NOW, parse_date
from astro_provider.api.errors import (
    AstroError,
    ConflictError,
    NotTriggeredError,
    TargetUnavailableError,
    TransportError,
    UnexpectedAnswerError,
)
from astro_provider.api.message import outcome_message
from astro_provider.api.repair import repair_dag_run
from astro_provider.tasks.caller_note import trigger_with_note
from astro_provider.tasks.existing_run import Decision, Origin, RunFacts, decision, origin, when_created

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun
    from astro_provider.tasks.planned_run import PlannedRun
    from astro_provider.tasks.run_request import RunRequest


CLEARING = "Clearing the tasks that failed or were cut off when the run ended"

MAX_UNREPORTED_DELAY_SECONDS = 3.0
"""A shorter delay of a run is not logged: the target reports its time in whole seconds, and needs time to respond."""


@dataclass(frozen=True)
class CreatedRun:
    """
    The run that a task created, or that it continues with.

    :param run: the run
    :param attached: whether the task attached, or might have attached, to a run that it did not create
    """

    run: DagRun
    attached: bool


def create_run(
    client: Client, request: RunRequest, planned: PlannedRun, *, repair_failed: bool, log: Callable[[str], None]
) -> Flow[CreatedRun]:
    """
    Create a run or, if it exists already, do what is decided about it.

    :param client: the target
    :param request: what the task wants to trigger, with the user's choice for a run that the task did not create
    :param planned: the run that the task wants to create
    :param repair_failed: whether to clear the failed tasks of an earlier try's run, because the task waits for the run
        to succeed
    :param log: called with what is done about a run that exists already
    :return: the run
    :raise NotTriggeredError: the run exists, and ``on_existing_run`` is ``"fail"``
    :raise AirflowSkipException: the run exists, and ``on_existing_run`` is ``"skip"``
    """
    find = partial(_find_with_origin, client, request, planned)
    try:
        run = yield from trigger_with_note(
            client,
            request.dag_id,
            default=planned.note,
            run_id=planned.run_id,
            idempotent=planned.derived,
            **request.arguments,
        )
        if request.arguments["logical_date"] == NOW:
            _report_delay(client, run, log)
        log(_message(client, run, "Triggered", f", {run['state']},"))
        return CreatedRun(run, attached=False)
    except ConflictError as conflict:
        if (found := (yield from find(resent=conflict.resent, existing=conflict.existing))) is None:
            raise
    except (TransportError, TargetUnavailableError, UnexpectedAnswerError) as error:
        # The request might have created the run in spite of the error. With a run id that the user chose, the run could
        # also be that of another task. A derived run id is used by no other task.
        found = None
        if planned.derived:
            with suppress(AstroError):
                found = yield from find(resent=True)
        if found is None or found.origin is Origin.OTHER:
            raise error
    return (yield from _use_existing(client, found, request, planned, repair_failed=repair_failed, log=log))


def _report_delay(client: Client, run: DagRun, log: Callable[[str], None]) -> None:
    """
    Log if the current time, which is the logical date of a new run, is in the future for the target.

    Its response has just told the time. Measured: 3.3.2 starts such a run at once, and its tasks at the logical date.
    """
    if run["logical_date"] is None:
        return
    delay = (parse_date(run["logical_date"]) - parse_date(client.at_target(time.time()))).total_seconds()
    if delay > MAX_UNREPORTED_DELAY_SECONDS:
        log(
            _message(
                client,
                run,
                f"Tasks start in {delay:.0f} s",
                details="The clock there is behind the one here, and has not yet reached the logical date",
            )
        )


def _message(client: Client, run: DagRun, outcome: str, facts: str = "", details: str = "") -> str:
    run_id, url = run["dag_run_id"], client.run_url(run["dag_id"], run["dag_run_id"])
    where = client.deployment
    return outcome_message(outcome, run["dag_id"], facts, where=where, details=details, run_id=run_id, url=url)


@dataclass(frozen=True)
class ExistingRun:
    """
    A run that exists already, and what created it.

    :param run: the run
    :param same_run_id: whether it has the run id of the planned run; otherwise, it has only the same logical date
    :param origin: what created or last reset it
    """

    run: DagRun
    same_run_id: bool
    origin: Origin


def find_existing_run(client: Client, request: RunRequest, planned: PlannedRun) -> Flow[DagRun | None]:
    """
    Find the run that prevents a task from creating its own.

    :param client: the target
    :param request: what the task wants to trigger
    :param planned: the run that the task wants to create
    :return: the run with the same run id, else the one with the same logical date, if any
    """
    run = yield from client.find_dag_run(request.dag_id, planned.run_id)
    if run is None and (date := request.logical_date) is not None:
        run = yield from client.find_by_logical_date(request.dag_id, date)
    return run


def _find_with_origin(
    client: Client, request: RunRequest, planned: PlannedRun, *, resent: bool, existing: DagRun | None = None
) -> Flow[ExistingRun | None]:
    """Find the run that prevents a task from creating its own, unless it is known, and determine what created it."""
    run = existing or (yield from find_existing_run(client, request, planned))
    if run is None:
        return None
    same_run_id = run["dag_run_id"] == planned.run_id
    facts = RunFacts(
        state=run["state"],
        same_run_id=same_run_id,
        derived=planned.derived,
        from_before_clear=run["dag_run_id"] in planned.run_ids_before_clear,
        retry=planned.retry,
        restarted=planned.restarted,
        resent=resent,
        created=when_created(
            run,
            started_at=planned.started_at,
            started_at_is_after_clear=planned.started_at_is_after_clear,
            clock_lead=client.memory.clock_lead,
            logical_date_is_creation=same_run_id and planned.derived and request.logical_date is None,
        ),
    )
    return ExistingRun(run, same_run_id, origin(facts, request.on_existing_run))


def _use_existing(
    client: Client,
    found: ExistingRun,
    request: RunRequest,
    planned: PlannedRun,
    *,
    repair_failed: bool,
    log: Callable[[str], None],
) -> Flow[CreatedRun]:
    """Do what is decided about a run that exists already; see :func:`create_run`."""
    run, message = found.run, partial(_message, client, found.run)
    same = "run id" if found.same_run_id else "logical date"
    has_same = f" already has a run with the same {same}"
    keeps = f"The run is {run['state']}. It keeps its conf, note and dates"
    might_be_attached = _might_be_attached(found, request, planned)
    decided = decision(
        found.origin,
        request.on_existing_run,
        has_failed=run["state"] == "failed",
        may_repair=repair_failed and not (might_be_attached and request.on_existing_run == "attach"),
    )
    if decided is Decision.FAIL:
        details = (
            f"The run is {run['state']}. It was not created by a try of this task since it was last cleared"
            f"{_deleted_run_hint(found, planned)}\n"
            "Choose what to do with on_existing_run: 'fail' (as now), 'attach' to it, 'reset' it (clear it and let it "
            "run again), 'resume' it (the same with its failed tasks only), or 'skip' this task"
        )
        raise NotTriggeredError(message("Not triggered", has_same, details))
    if decided is Decision.SKIP:
        from astro_provider.airflow_versions import AirflowSkipException

        details = f"The run is {run['state']}, and on_existing_run is 'skip'"
        raise AirflowSkipException(message("Skipped", has_same, details))
    if decided is Decision.ATTACH:
        log(message("Attached", has_same, keeps))
        return CreatedRun(run, attached=True)
    if decided is Decision.RESET:
        if found.origin is Origin.BEFORE_CLEAR:
            why = "This task created it before it was cleared, and a dag can have only one run per logical date"
            log(message("Resetting", has_same, f"{why}\n{keeps}"))
        else:
            log(message("Resetting", has_same, keeps))
        reset = yield from client.clear_dag_run(run["dag_id"], run["dag_run_id"], only_failed=False)
        return CreatedRun(reset, attached=False)
    if decided is Decision.RESUME:
        log(message("Resuming", has_same, f"{CLEARING}\n{keeps}"))
        return CreatedRun((yield from repair_dag_run(client, run)), attached=False)
    did = "created or attached to" if might_be_attached else "created or reset"
    log(message("Continuing", f", {run['state']},", f"With the run that {found.origin.value} {did}"))
    if decided is Decision.REPAIR:
        log(message("Repairing", details=CLEARING))
        return CreatedRun((yield from repair_dag_run(client, run)), attached=False)
    return CreatedRun(run, might_be_attached)


def _might_be_attached(found: ExistingRun, request: RunRequest, planned: PlannedRun) -> bool:
    """
    Decide whether an earlier try might have attached to a run instead of creating, resetting or resuming it.

    If no try has stored what it did (``None``), the run is treated like one that the task attached to: it is not
    cancelled and, unless it is to be resumed, not repaired.
    """
    run_id = found.run["dag_run_id"]
    is_own = run_id in planned.run_ids_before_clear or (planned.derived and found.same_run_id)
    return request.on_existing_run in ("attach", "resume") and not is_own and planned.attached in (True, None)


def _deleted_run_hint(found: ExistingRun, planned: PlannedRun) -> str:
    if not (found.same_run_id and planned.derived):
        return ""
    return " (it was created before, maybe by this task in a dag run that had the same id and was deleted)"
