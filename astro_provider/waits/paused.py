"""The warning that a run stays queued because its dag is paused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api import calls
from astro_provider.api.message import outcome_message

if TYPE_CHECKING:
    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.waits.wait import RunWait, Verdict

QUEUED_SECONDS = 5.0
"""Seconds for which a run is queued before its dag is requested: a run that was just created is queued anyway."""


def is_queued(wait: RunWait, verdict: Verdict) -> bool:
    """
    Decide whether a wait is for a run that exists already, and that is queued.

    :param wait: the wait
    :param verdict: the verdict of its last check
    """
    return bool(wait.must_exist and verdict.run and verdict.run["state"] == "queued")


def paused_warning(client: Client, dag_id: str) -> Flow[str]:
    """
    Make the warning for a queued run if its dag is paused (``GET dags/{dag_id}``).

    :param client: the target
    :param dag_id: the dag
    :return: the warning; empty if the dag is not paused, or does not exist
    :raise AstroError: the target did not answer, or refused the request
    """
    dag = yield from client.find(calls.get_dag, dag_id)
    if not dag or not dag["is_paused"]:
        return ""
    details = "The run stays queued until the dag is unpaused"
    return outcome_message("Paused", dag_id, where=client.deployment, details=details)
