"""Cancelling a backfill when a user or a timeout ends its task, on a worker and in the triggerer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from astro_provider.api import backfill_calls
from astro_provider.api.errors import ConflictError, NotFoundError
from astro_provider.api.message import outcome_message
from astro_provider.tasks.cancel import run_in_triggerer, run_on_worker
from astro_provider.waits.backfill import backfills_url, list_own_runs

if TYPE_CHECKING:
    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.waits.backfill import BackfillWait


def cancel_backfill(client: Client, wait: BackfillWait) -> Flow[str]:
    """
    Cancel a backfill and its running runs, unless it is over.

    The target only fails the queued runs of a backfill that is cancelled. Its running runs are marked failed here, as
    the run of a trigger operator is.

    :param client: the target
    :param wait: the wait for the backfill
    :return: the message of what was done
    :raise AstroError: the backfill or one of its runs could not be cancelled
    """
    try:
        yield from client.call(backfill_calls.cancel_backfill, wait.backfill_id)
    except ConflictError:
        return backfill_not_cancelled(wait, "it is already over")
    running = [run for run in (yield from list_own_runs(client, wait)) if run["state"] == "running"]
    cancelled = 0
    for run in running:
        try:
            yield from client.cancel_dag_run(wait.dag_id, run["dag_run_id"])
        except NotFoundError:  # deleted since it was listed
            continue
        cancelled += 1
    facts = f"{wait.facts}, and {cancelled} runs that were running"
    url = backfills_url(client, wait.dag_id)
    return outcome_message("Cancelled", wait.dag_id, facts, where=client.deployment, url=url)


def backfill_not_cancelled(wait: BackfillWait, reason: str) -> str:
    """
    Write the message for a backfill that is not cancelled.

    :param wait: the wait for the backfill
    :param reason: why, as a clause
    """
    return outcome_message("Not cancelled", wait.dag_id, f"{wait.facts}: {reason}")


def cancel_backfill_on_worker(http_conn_id: str, wait: BackfillWait, log: Any) -> str:
    """
    Cancel a backfill, and log the result. Errors of the target are logged, not raised.

    :param http_conn_id: id of the Airflow connection to the target
    :param wait: the wait for the backfill
    :param log: the logger of the task
    :return: the message of what was done
    """
    return run_on_worker(http_conn_id, partial(cancel_backfill, wait=wait), wait.dag_id, log)


async def cancel_backfill_in_triggerer(http_conn_id: str, wait: BackfillWait, log: Any) -> str:
    """Do the same as :func:`cancel_backfill_on_worker` on an event loop, within ``MAX_CANCEL_SECONDS``."""
    return await run_in_triggerer(http_conn_id, partial(cancel_backfill, wait=wait), wait.dag_id, log)
