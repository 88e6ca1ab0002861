"""What is done before a run is created if the dag already has a queued or running run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from astro_provider.api.calls import PAGE_SIZE
from astro_provider.api.dates import parse_date
from astro_provider.api.errors import NotTriggeredError
from astro_provider.api.message import outcome_message
from astro_provider.api.states import DAG_RUN_STATES, FINISHED_DAG_RUN_STATES
from astro_provider.tasks.create_run import find_existing_run
from astro_provider.tasks.existing_run import ActiveDecision, active_decision

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun
    from astro_provider.tasks.planned_run import PlannedRun
    from astro_provider.tasks.run_request import RunRequest

_UNFINISHED = [state for state in DAG_RUN_STATES if state not in FINISHED_DAG_RUN_STATES]


def find_active_run(
    client: Client, request: RunRequest, planned: PlannedRun, *, log: Callable[[str], None]
) -> Flow[DagRun | None]:
    """
    Find the queued or running run with which the task continues instead of creating a run.

    A first try sends one request, and none if ``on_active_run`` is ``"trigger"``. Two tasks that send it at the same
    time do not see each other's run.

    :param client: the target
    :param request: what the task wants to trigger, with the user's choice
    :param planned: the run that the task wants to create, which is never an active run of another task
    :param log: called with what is done
    :return: the run; ``None`` if the task creates its run, or continues with the one of an earlier try
    :raise NotTriggeredError: the dag has an active run, and ``on_active_run`` is ``"fail"``
    :raise AirflowSkipException: the dag has an active run, and ``on_active_run`` is ``"skip"``
    """
    if request.on_active_run == "trigger":
        return None
    former = yield from _run_of_earlier_try(client, request, planned)
    active = [] if former else (yield from _active_runs(client, request.dag_id))
    others = [run for run in active if not _is_planned(run, request, planned)]
    has_own = len(others) < len(active)
    if others and not has_own and (planned.retry or planned.restarted):
        has_own = (yield from find_existing_run(client, request, planned)) is not None
    decided = active_decision(
        request.on_active_run, has_other=bool(others), has_own=has_own, attached_before=former is not None
    )
    if decided is ActiveDecision.CREATE:
        return None
    run = former or others[0]
    _report(client, run, decided, log)
    return run


def _run_of_earlier_try(client: Client, request: RunRequest, planned: PlannedRun) -> Flow[DagRun | None]:
    """Find the run that an earlier try attached to because it was active, whether or not it still is."""
    if request.on_active_run != "attach" or planned.attached_to is None:
        return None
    run = yield from client.find_dag_run(request.dag_id, planned.attached_to)
    return None if run is None or _is_planned(run, request, planned) else run


def _active_runs(client: Client, dag_id: str) -> Flow[list[DagRun]]:
    """List the queued and running runs of a dag, newest first."""
    runs = yield from client.list_dag_runs(dag_id, state=_UNFINISHED, order_by="-run_after", limit=PAGE_SIZE)
    return [run for run in runs if run["state"] in _UNFINISHED]  # Airflow 2.1 lists finished runs as well


def _is_planned(run: DagRun, request: RunRequest, planned: PlannedRun) -> bool:
    """Decide whether ``on_existing_run`` decides about a run, because the task cannot create another one like it."""
    if run["dag_run_id"] == planned.run_id:
        return True
    date = run["logical_date"]
    return bool(date and request.logical_date and parse_date(date) == parse_date(request.logical_date))


def _report(client: Client, run: DagRun, decided: ActiveDecision, log: Callable[[str], None]) -> None:
    """Log that the task attaches to a run, or raise the error that ends it."""
    message = partial(
        outcome_message,
        dag_id=run["dag_id"],
        facts=f" already has a {run['state']} run",
        where=client.deployment,
        run_id=run["dag_run_id"],
        url=client.run_url(run["dag_id"], run["dag_run_id"]),
    )
    if decided is ActiveDecision.SKIP:
        from astro_provider.airflow_versions import AirflowSkipException

        raise AirflowSkipException(message("Skipped", details="on_active_run is 'skip'"))
    if decided is ActiveDecision.FAIL:
        details = (
            "Choose what to do with on_active_run: 'fail' (as now), 'trigger' another run, 'attach' to this one, or "
            "'skip' this task"
        )
        raise NotTriggeredError(message("Not triggered", details=details))
    log(message("Attached", details="The run keeps its conf, note and dates"))
