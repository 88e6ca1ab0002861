"""Creating a backfill, or continuing with the one that an earlier try of the task has created."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from astro_provider.api import backfill_calls, calls
from astro_provider.api.dates import parse_date
from astro_provider.api.errors import (
    AstroError,
    ConflictError,
    NotTriggeredError,
    TargetUnavailableError,
    TransportError,
    UnexpectedAnswerError,
)
from astro_provider.api.flow import Pause
from astro_provider.api.message import outcome_message
from astro_provider.api.paging import read_list
from astro_provider.api.states import FINISHED_DAG_RUN_STATES
from astro_provider.tasks.planned_run import plan_run
from astro_provider.waits.backfill import BackfillWait, backfills_url, list_own_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.airflow_versions import Context
    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import Backfill
    from astro_provider.tasks.backfill_request import BackfillRequest, ReprocessBehavior

MAX_LISTED_BACKFILLS = 100
"""How many of the newest backfills of a dag are searched for that of an earlier try."""

CLEARED_CHECKS = 12
"""How often a task that was cleared checks whether the backfill that it created before is being cancelled."""

CHECK_PAUSE_SECONDS = 2.5
"""Seconds between two of these checks: together as long as a triggerer needs to notice that a task was cleared."""

CLOCK_SLACK_SECONDS = 2.0
"""By how much the clock of the target might differ from what its responses say, which is in whole seconds."""


@dataclass(frozen=True)
class EarlierTries:
    """
    What is known about earlier tries of the task.

    :param since: start of the first try whose backfill this try can continue with, in seconds since the epoch; ``None``
        if there was none
    :param is_retry: whether this try is a retry, and not the first try since the task was last cleared
    """

    since: float | None
    is_retry: bool


def earlier_tries(context: Context, *, retries: int) -> EarlierTries:
    """
    Find out from which earlier tries a backfill can be.

    :param context: the task's context
    :param retries: the number of retries of the task
    """
    planned = plan_run(context, given_run_id=None, retries=retries, warn=lambda _: None)
    if planned.retry:
        return EarlierTries(planned.started_at, is_retry=True)
    # A backfill from before the clear: all tries start after the triggering dag run.
    started = context["dag_run"].start_date if planned.run_ids_before_clear else None
    return EarlierTries(started.timestamp() if started else None, is_retry=False)


def ensure_backfill(
    client: Client,
    request: BackfillRequest,
    earlier_tries: EarlierTries,
    *,
    log: Callable[[str], None],
    warn: Callable[[str], None],
) -> Flow[Backfill]:
    """
    Create a backfill, unless an earlier try has created one with which this try continues.

    :param client: the target
    :param request: the backfill that the task wants to create
    :param earlier_tries: what is known about earlier tries
    :param log: called with what is done
    :param warn: called with a message for the user
    :return: the backfill, which might be over
    :raise NotTriggeredError: another backfill of the dag is running
    :raise AstroError: another error of the target
    """
    behavior = request.reprocess_behavior
    earlier = None
    if earlier_tries.since is not None:
        earlier = yield from _find_created_since(client, request, earlier_tries.since)
    if earlier is not None and earlier["completed_at"] is None and not earlier_tries.is_retry:
        earlier = yield from _wait_until_cancelled(client, earlier)
    if earlier is not None:
        states = {run["state"] for run in (yield from list_own_runs(client, BackfillWait.of(earlier)))}
        is_over = earlier["completed_at"] is not None and states <= set(FINISHED_DAG_RUN_STATES)
        is_done = earlier_tries.is_retry and ("failed" not in states or not request.waits)
        if not is_over or is_done:
            log(_message(client, earlier, "Continuing", "An earlier try of this task created it"))
            return earlier
        if "failed" in states and (earlier_tries.is_retry or behavior == "none"):
            behavior = "failed"
            why = "An earlier try of this task created it, and runs of it have failed: only these run again"
            log(_message(client, earlier, "Repeating", why))
    backfill = yield from _create(client, request, behavior, after=earlier["id"] if earlier else 0)
    log(_message(client, backfill, "Created"))
    if behavior == "none":
        yield from _warn_of_failed_runs(client, backfill, warn)
    dag = yield from client.call(calls.get_dag, request.dag_id)
    if dag["is_paused"]:
        details = "The backfill starts no run until the dag is unpaused"
        warn(outcome_message("Paused", request.dag_id, where=client.deployment, details=details))
    return backfill


def _create(client: Client, request: BackfillRequest, behavior: ReprocessBehavior, *, after: int) -> Flow[Backfill]:
    """
    Create a backfill or, if the response is lost, find it.

    :param after: id of the last backfill that an earlier try has created; 0 if there is none
    """
    began = time.time()
    try:
        return (yield from client.call(backfill_calls.create_backfill, request.dag_id, request.body(behavior)))
    except ConflictError as conflict:
        running = [each for each in (yield from _list(client, request.dag_id)) if each["completed_at"] is None]
        if not running:
            raise
        why = "This backfill is running, and Airflow runs only one of a dag at a time"
        raise NotTriggeredError(
            _message(client, running[0], "Not created", f"{why}: wait until it is over, or cancel it there")
        ) from conflict
    except (TransportError, TargetUnavailableError, UnexpectedAnswerError) as error:
        # The request might have created the backfill in spite of the error.
        found = None
        with suppress(AstroError):
            found = yield from _find_created_since(client, request, began, after=after)
        if found is None:
            raise error
        return found


def _list(client: Client, dag_id: str) -> Flow[list[Backfill]]:
    pages = client.pages(backfill_calls.list_backfills, dag_id)
    return read_list(pages, ("id",), MAX_LISTED_BACKFILLS)


def _find_created_since(
    client: Client, request: BackfillRequest, since: float, *, after: int = 0
) -> Flow[Backfill | None]:
    """
    Find the newest backfill that this task might have created.

    :param since: the time before which it was not created, in seconds since the epoch
    :param after: an id that its id is above
    """
    backfills = yield from _list(client, request.dag_id)
    # After the response, which shows the clock of the target.
    earliest = parse_date(client.at_target(since)) - timedelta(seconds=CLOCK_SLACK_SECONDS)
    for backfill in backfills:
        if backfill["id"] > after and parse_date(backfill["created_at"]) >= earliest and request.matches(backfill):
            return backfill
    return None


def _wait_until_cancelled(client: Client, backfill: Backfill) -> Flow[Backfill]:
    """Wait for the end of the backfill of a task that was cleared, which might be cancelled at this moment."""
    for _ in range(CLEARED_CHECKS):
        yield Pause(CHECK_PAUSE_SECONDS)
        backfill = yield from client.call(backfill_calls.get_backfill, backfill["id"])
        if backfill["completed_at"] is not None:
            break
    return backfill


def _warn_of_failed_runs(client: Client, backfill: Backfill, warn: Callable[[str], None]) -> Flow[None]:
    """Warn of runs that have failed and that the backfill leaves as they are."""
    runs = yield from client.list_dag_runs(
        backfill["dag_id"],
        logical_date_gte=backfill["from_date"],
        logical_date_lte=backfill["to_date"],
        state=["failed"],
    )
    created = parse_date(backfill["created_at"])
    failed = [run for run in runs if run["queued_at"] and parse_date(run["queued_at"]) < created]
    if failed:
        why = "reprocess_behavior='failed' runs them again"
        details = f"{len(failed)} failed runs of these dates, such as {failed[0]['dag_run_id']}: {why}"
        warn(_message(client, backfill, "Left as they are", details))


def _message(client: Client, backfill: Backfill, outcome: str, details: str = "") -> str:
    dag_id, dates = backfill["dag_id"], f"from {backfill['from_date']} to {backfill['to_date']}"
    facts, url = f", backfill {backfill['id']} {dates}", backfills_url(client, dag_id)
    return outcome_message(outcome, dag_id, facts, where=client.deployment, details=details, url=url)
