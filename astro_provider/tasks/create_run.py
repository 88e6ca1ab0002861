"""Creating a run or, if the run exists already, finding it and doing what ``existing_run`` decides."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from astro_provider.api.dates import iso
from astro_provider.api.errors import (
    AstroError,
    ConflictError,
    NotTriggeredError,
    TargetUnavailableError,
    TransportError,
    UnexpectedAnswerError,
)
from astro_provider.api.repair import repair_dag_run
from astro_provider.tasks.existing_run import Decision, Origin, RunFacts, decision, origin, when_created

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from astro_provider.api.types import DagRun
    from astro_provider.hooks.astro import AstroHook
    from astro_provider.tasks.existing_run import OnExistingRun
    from astro_provider.tasks.planned_run import PlannedRun


def create_run(
    hook: AstroHook,
    dag_id: str,
    planned: PlannedRun,
    fields: Mapping[str, Any],
    *,
    on_existing_run: OnExistingRun,
    repair_failed: bool,
    log: Callable[[str], None],
) -> tuple[DagRun, bool]:
    """
    Create a run or, if it exists already, do what is decided about it.

    :param hook: the target
    :param dag_id: the dag in the target
    :param planned: the run that the task wants to create
    :param fields: the arguments of ``AstroHook.trigger_dag_run``, without the run id
    :param on_existing_run: the user's choice for a run that the task did not create
    :param repair_failed: whether to clear the failed tasks of an earlier try's run, because the task waits for the run
        to succeed
    :param log: called with what is done about a run that exists already
    :return: the run, and whether the task attached, or might have attached, to a run that it did not create
    :raise NotTriggeredError: the run exists, and ``on_existing_run`` is ``"fail"``
    :raise AirflowSkipException: the run exists, and ``on_existing_run`` is ``"skip"``
    """
    find = partial(
        _find_with_origin, hook, dag_id, planned, logical_date=fields["logical_date"], on_existing_run=on_existing_run
    )
    try:
        flow = hook.client.trigger_dag_run(dag_id, run_id=planned.run_id, idempotent=planned.derived, **fields)
        return hook.run(flow), False
    except ConflictError as conflict:
        if (found := find(resent=conflict.resent)) is None:
            raise
    except (TransportError, TargetUnavailableError, UnexpectedAnswerError) as error:
        # The request might have created the run in spite of the error. With a run id that the user chose, the run could
        # also be that of another task. A derived run id is used by no other task.
        found = None
        if planned.derived:
            with suppress(AstroError):
                found = find(resent=True)
        if found is None or found.origin is Origin.OTHER:
            raise error
    return _use_existing(hook, found, planned, on_existing_run, repair_failed=repair_failed, log=log)


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


def find_existing_run(
    hook: AstroHook, dag_id: str, planned: PlannedRun, logical_date: datetime | str | None
) -> DagRun | None:
    """
    Find the run that prevents a task from creating its own.

    :param hook: the target
    :param dag_id: the dag in the target
    :param planned: the run that the task wants to create
    :param logical_date: logical date of that run
    :return: the run with the same run id, else the one with the same logical date, if any
    """
    date = iso("logical_date", logical_date)
    run = hook.run(hook.client.find_dag_run(dag_id, planned.run_id))
    if run is None and date is not None:
        run = hook.run(hook.client.find_by_logical_date(dag_id, date))
    return run


def _find_with_origin(
    hook: AstroHook,
    dag_id: str,
    planned: PlannedRun,
    *,
    logical_date: datetime | str | None,
    resent: bool,
    on_existing_run: OnExistingRun,
) -> ExistingRun | None:
    """Find the run that prevents a task from creating its own, and determine what created it."""
    run = find_existing_run(hook, dag_id, planned, logical_date)
    if run is None:
        return None
    same_run_id = run["dag_run_id"] == planned.run_id
    facts = RunFacts(
        state=run["state"],
        same_run_id=same_run_id,
        derived=planned.derived,
        from_before_clear=run["dag_run_id"] in planned.run_ids_before_clear,
        retry=planned.retry,
        resent=resent,
        created=when_created(
            run,
            started_at=planned.started_at,
            started_at_is_after_clear=planned.started_at_is_after_clear,
            clock_lead=hook.client.memory.clock_lead,
            logical_date_is_creation=same_run_id and planned.derived and iso("logical_date", logical_date) is None,
        ),
    )
    return ExistingRun(run, same_run_id, origin(facts, on_existing_run))


def _use_existing(
    hook: AstroHook,
    found: ExistingRun,
    planned: PlannedRun,
    on_existing_run: OnExistingRun,
    *,
    repair_failed: bool,
    log: Callable[[str], None],
) -> tuple[DagRun, bool]:
    """Do what is decided about a run that exists already; see :func:`create_run`."""
    run, dag = found.run, f"dag {found.run['dag_id']!r}"
    same = "run id" if found.same_run_id else "logical date"
    url = hook.client.run_url(run["dag_id"], run["dag_run_id"])
    which = f"Dag run {run['dag_run_id']!r} is {run['state']} in {hook.deployment}. See {url}"
    # With a given run id, an earlier try might have attached to the run instead of creating it. If no try has stored
    # which of the two it did (None), the run is treated like one that the task attached to: it is neither repaired nor
    # cancelled.
    might_be_attached = on_existing_run == "attach" and not planned.derived and planned.attached in (True, None)
    needs_repair = repair_failed and run["state"] == "failed" and not might_be_attached
    decided = decision(found.origin, on_existing_run, needs_repair=needs_repair)
    if decided is Decision.FAIL:
        raise NotTriggeredError(
            f"Not triggered: {dag} already has a run with the same {same}, and it was not created by a try of this "
            f"task since it was last cleared{_deleted_run_hint(found, planned)}. Choose what to do with "
            "on_existing_run: 'fail' (as now), 'attach' to it, 'reset' it (clear it and let it run again), or 'skip' "
            f"this task. {which}"
        )
    if decided is Decision.SKIP:
        from astro_provider.airflow_versions import AirflowSkipException

        raise AirflowSkipException(
            f"Skipped: {dag} already has a run with the same {same}, and on_existing_run is 'skip'. {which}"
        )
    if decided is Decision.ATTACH:
        log(f"Attached to a run of {dag} with the same {same}, which keeps its conf, note and dates. {which}")
        return run, True
    if decided is Decision.RESET:
        if found.origin is Origin.BEFORE_CLEAR:
            log(
                f"Resetting the run of {dag} that this task created before it was cleared, because a dag can have only "
                f"one run per logical date. The run keeps its conf, note and dates. {which}"
            )
        else:
            log(f"Resetting the run of {dag} with the same {same}, which keeps its conf, note and dates. {which}")
        return hook.clear_dag_run(run["dag_id"], run["dag_run_id"]), False
    did = "created or attached to" if might_be_attached else "created or reset"
    log(f"Continuing with the run of {dag} that {found.origin.value} {did}. {which}")
    if decided is Decision.REPAIR:
        log(f"Repairing the run of {dag}: clearing the tasks that failed or were cut off when the run ended")
        run = hook.run(repair_dag_run(hook.client, run))
    return run, might_be_attached


def _deleted_run_hint(found: ExistingRun, planned: PlannedRun) -> str:
    if not (found.same_run_id and planned.derived):
        return ""
    return " (it was created before, maybe by this task in a dag run that had the same id and was deleted)"
