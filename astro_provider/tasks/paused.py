"""What to do if the dag is paused in the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api.errors import NotTriggeredError
from astro_provider.api.message import outcome_message
from astro_provider.tasks.create_run import find_existing_run

if TYPE_CHECKING:
    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.tasks.planned_run import PlannedRun
    from astro_provider.tasks.run_request import RunRequest


def check_pause(client: Client, request: RunRequest, planned: PlannedRun) -> Flow[None]:
    """
    Do what the user chose for a dag that is paused, before a run of the dag is created.

    :param client: the target
    :param request: what the task wants to trigger, with the user's choice
    :param planned: the run that the task wants to create
    :raise NotTriggeredError: the dag is paused, ``if_paused`` is ``"fail"``, and no earlier try has created a run
    """
    dag_id = request.dag_id
    if request.if_paused == "unpause":
        yield from client.set_paused(dag_id, paused=False)
    elif request.if_paused == "fail" and (yield from client.get_dag(dag_id))["is_paused"]:
        if (planned.retry or planned.restarted) and (yield from find_existing_run(client, request, planned)):
            return  # the run was created, reset or attached to before the dag was paused
        details = "if_paused is 'fail': unpause the dag there, or use if_paused='unpause' or 'trigger'"
        raise NotTriggeredError(
            outcome_message("Not triggered", dag_id, " is paused", where=client.deployment, details=details)
        )
