"""Creating a run; or, if it exists already, finding it and doing what is decided about it."""

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
from astro_provider.tasks.existing_run import Decision, Existing, Origin, created, decision, origin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from astro_provider.api.types import DagRun
    from astro_provider.hooks.astro import AstroHook
    from astro_provider.tasks.own_run import OwnRun


def create_run(
    hook: AstroHook,
    dag_id: str,
    own: OwnRun,
    fields: Mapping[str, Any],
    *,
    on_existing_run: str,
    repair: bool,
    log: Callable[[str], None],
) -> tuple[DagRun, bool]:
    """
    Create a run, or do what is decided about the one that exists instead.

    :param hook: the target
    :param dag_id: the dag in the target
    :param own: the run that the task wants to create
    :param fields: what the run is created with, see ``AstroHook.trigger_dag_run``
    :param on_existing_run: the task's choice for somebody else's run
    :param repair: whether the task waits for a run that does not fail, so that a failed one of its own is repaired
    :param log: called with what is done about a run that exists
    :return: the run, and whether it is, or may be, somebody else's that the task attached to
    :raise NotTriggeredError: it exists, and ``on_existing_run`` is ``"fail"``
    :raise AirflowSkipException: it exists, and ``on_existing_run`` is ``"skip"``
    """
    date = fields["logical_date"]
    find = partial(_find, hook, dag_id, own, logical_date=date, on_existing_run=on_existing_run)
    try:
        created_run = hook.client.trigger_dag_run(dag_id, run_id=own.run_id, idempotent=own.derived, **fields)
        return hook.run(created_run), False
    except ConflictError as conflict:
        if (found := find(resent=conflict.resent)) is None:
            raise
    except (TransportError, TargetUnavailableError, UnexpectedAnswerError) as error:
        # The run may have been created all the same. Only an id that nobody else uses tells whose it is.
        found = None
        if own.derived:
            with suppress(AstroError):
                found = find(resent=True)
        if found is None or found.origin is Origin.OTHER:
            raise error
    return _settle(hook, found, own, on_existing_run, repair=repair, log=log)


@dataclass(frozen=True)
class Found:
    """
    The run that exists already.

    :param run: the run
    :param same_run_id: whether it has the same run id; otherwise it has the same logical date
    :param origin: who created it
    """

    run: DagRun
    same_run_id: bool
    origin: Origin


def existing_run(hook: AstroHook, dag_id: str, own: OwnRun, logical_date: datetime | str | None) -> DagRun | None:
    """
    Find the run that keeps a task from creating its own.

    :param hook: the target
    :param dag_id: the dag in the target
    :param own: the run that the task wants to create
    :param logical_date: of that run
    :return: the run with the same run id, else the one with the same logical date, if any
    """
    date = iso("logical_date", logical_date)
    run = hook.run(hook.client.find_dag_run(dag_id, own.run_id))
    if run is None and date is not None:
        run = hook.run(hook.client.find_by_logical_date(dag_id, date))
    return run


def _find(
    hook: AstroHook,
    dag_id: str,
    own: OwnRun,
    *,
    logical_date: datetime | str | None,
    resent: bool,
    on_existing_run: str,
) -> Found | None:
    """Find the run that keeps a task from creating its own, and say whose it is."""
    run = existing_run(hook, dag_id, own, logical_date)
    if run is None:
        return None
    same_run_id = run["dag_run_id"] == own.run_id
    facts = Existing(
        state=run["state"],
        same_run_id=same_run_id,
        derived=own.derived,
        names_this_task=run["dag_run_id"] in own.before_clear,
        retry=own.retry,
        resent=resent,
        created=created(
            run,
            began=own.began,
            exact=own.exact,
            clock_lead=hook.client.memory.clock_lead,
            logical_date_is_creation=same_run_id and own.derived and iso("logical_date", logical_date) is None,
        ),
    )
    return Found(run, facts.same_run_id, origin(facts, on_existing_run))


def _settle(
    hook: AstroHook, found: Found, own: OwnRun, on_existing_run: str, *, repair: bool, log: Callable[[str], None]
) -> tuple[DagRun, bool]:
    """Do what is decided about a run that exists already."""
    run, dag = found.run, f"dag {found.run['dag_id']!r}"
    same = "run id" if found.same_run_id else "logical date"
    url = hook.client.run_url(run["dag_id"], run["dag_run_id"])
    which = f"Dag run {run['dag_run_id']!r} is {run['state']} in {hook.deployment}. See {url}"
    # An earlier try may have attached to a run whose id was given: then it is still somebody else's.
    attached = on_existing_run == "attach" and not own.derived and own.attached is not False
    decided = decision(found.origin, on_existing_run, repair=repair and run["state"] == "failed" and not attached)
    if decided is Decision.FAIL:
        raise NotTriggeredError(
            f"Not triggered: {dag} already has a run with the same {same}, and it was not created by a try of this "
            f"task since it was last cleared{_namesake(found, own)}. Choose what to do with on_existing_run: 'fail' "
            "(as now), 'attach' to it, 'reset' it (clear it and let it run again), or 'skip' this task. " + which
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
                f"Resetting the run of {dag} that this task created before it was cleared: the target can hold only "
                f"one run per logical date. It runs again with its conf, note and dates. {which}"
            )
        else:
            log(f"Resetting the run of {dag} with the same {same}: it runs again as it was created. {which}")
        return hook.clear_dag_run(run["dag_id"], run["dag_run_id"]), False
    did = "created or attached to" if attached else "created or reset"
    log(f"Going on with the run of {dag} that {found.origin.value} {did}. {which}")
    if decided is Decision.REPAIR:
        log(f"Repairing the run of {dag}: clearing what failed and what the end of the run cut off")
        run = hook.run(repair_dag_run(hook.client, run))
    return run, attached


def _namesake(found: Found, own: OwnRun) -> str:
    if not (found.same_run_id and own.derived):
        return ""
    return " (it was created before, maybe by this task in a dag run that had the same id and was deleted)"
