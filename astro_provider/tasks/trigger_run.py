"""What the trigger operator does in the target, as one flow for a worker and for the triggerer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from astro_provider.api.message import outcome_message
from astro_provider.tasks.active_run import find_active_run
from astro_provider.tasks.create_run import create_run
from astro_provider.tasks.paused import check_pause

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun
    from astro_provider.tasks.planned_run import PlannedRun
    from astro_provider.tasks.run_request import RunRequest


@dataclass(frozen=True)
class TriggeredRun:
    """
    The run that a task triggered, or that it continues with.

    :param run: the run
    :param url: URL of the run in the target's UI
    :param attached: whether the task attached, or might have attached, to a run that it did not create
    """

    run: DagRun
    url: str
    attached: bool


def trigger_run(
    client: Client, request: RunRequest, planned: PlannedRun, *, repairs: bool, log: Callable[[str], None]
) -> Flow[TriggeredRun]:
    """
    Trigger a run, or continue with the one of an earlier try.

    :param client: the target
    :param request: what the task wants to trigger
    :param planned: the run that the task wants to create
    :param repairs: whether a task that waits clears the failed tasks of an earlier try's run
    :param log: called with what was done
    :return: the run
    :raise NotTriggeredError: ``on_existing_run``, ``on_active_run`` or ``if_paused`` forbids it
    :raise AirflowSkipException: a run exists or is active, and ``on_existing_run`` or ``on_active_run`` is ``"skip"``
    :raise AstroError: another error of the target
    """
    run = yield from find_active_run(client, request, planned, log=log)
    attached = run is not None
    if run is None or run["dag_run_id"] != planned.attached_to:
        yield from check_pause(client, request, planned)
    if run is None:
        created = yield from create_run(client, request, planned, repair_failed=request.waits and repairs, log=log)
        run, attached = created.run, created.attached
    url = client.run_url(run["dag_id"], run["dag_run_id"])
    if not request.waits and run["state"] == "queued":
        details = "If the dag is paused there, the run starts when the dag is unpaused"
        log(outcome_message("Not waiting", run["dag_id"], where=client.deployment, details=details))
    return TriggeredRun(run, url, attached)
