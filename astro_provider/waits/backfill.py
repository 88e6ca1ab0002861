"""A wait for a backfill: its runs, and whether they have all succeeded."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from astro_provider.api import backfill_calls
from astro_provider.api.dates import parse_date
from astro_provider.api.failed_run import describe_failure
from astro_provider.api.message import dag_subject, outcome_message
from astro_provider.api.states import FINISHED_DAG_RUN_STATES
from astro_provider.api.urls import encoded
from astro_provider.waits.loop import answers_again, check_until, still_waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import Backfill, BackfillResult, DagRun

MAX_NAMED_RUNS = 5
"""Failed runs that a message names."""


@dataclass(frozen=True)
class BackfillWait:
    """
    A wait for a backfill to end.

    :param dag_id: the dag in the target
    :param backfill_id: id of the backfill
    :param created_at: when the backfill was created, as the target wrote it
    """

    dag_id: str
    backfill_id: int
    created_at: str

    @classmethod
    def of(cls, backfill: Backfill) -> BackfillWait:
        """Make the wait for a backfill."""
        return cls(backfill["dag_id"], backfill["id"], backfill["created_at"])

    def serialize(self) -> dict[str, Any]:
        """Convert the wait into a dict that a trigger can store; its items are the arguments of this class."""
        return asdict(self)

    @property
    def facts(self) -> str:
        """What follows the dag in a message."""
        return f", backfill {self.backfill_id}"

    @property
    def unseen(self) -> str:
        """The message of a wait whose checks have all failed."""
        return outcome_message("No answer yet", self.dag_id, self.facts)


@dataclass(frozen=True)
class BackfillVerdict:
    """
    The result of one check of a backfill.

    :param outcome: whether the backfill is over, and whether all its runs have succeeded
    :param message: describes the runs for people; after a failure, it names the failed runs
    :param result: the backfill with the numbers of its runs; ``None`` as long as it is not over
    :param url: URL of the backfills of the dag in the target's UI
    """

    outcome: Literal["pending", "success", "failed"]
    message: str
    url: str
    result: BackfillResult | None = None


def list_own_runs(client: Client, wait: BackfillWait) -> Flow[list[DagRun]]:
    """
    List the runs that a backfill has created or cleared.

    A run does not tell which backfill it is part of. Only one backfill of a dag can run at a time, so that its runs are
    those of type ``backfill`` that were queued since it was created. (A run of an earlier backfill that somebody clears
    meanwhile counts, too.)
    """
    runs = yield from client.list_dag_runs(
        wait.dag_id, run_type="backfill", updated_at_gte=wait.created_at, order_by="id"
    )
    created = parse_date(wait.created_at)
    return [run for run in runs if run["queued_at"] and parse_date(run["queued_at"]) >= created]


def check_backfill(client: Client, wait: BackfillWait) -> Flow[BackfillVerdict]:
    """
    Check a backfill once.

    It is over when all its runs have finished and the target has marked it as completed, which Airflow does up to half
    a minute later. Until then, the target refuses another backfill of the dag.

    :param client: the target
    :param wait: the wait
    :return: the verdict
    :raise NotFoundError: the backfill or the dag was deleted
    :raise AstroError: the target did not answer, or refused a request
    """
    runs = yield from list_own_runs(client, wait)
    url = backfills_url(client, wait.dag_id)
    progress = describe_progress(runs)
    if any(run["state"] not in FINISHED_DAG_RUN_STATES for run in runs):
        return BackfillVerdict("pending", _message("Running", client, wait, progress, url), url)
    backfill = yield from client.call(backfill_calls.get_backfill, wait.backfill_id)
    if backfill["completed_at"] is None:
        progress += ". Airflow has not marked it as completed yet"
        return BackfillVerdict("pending", _message("Running", client, wait, progress, url), url)
    failed = [run for run in runs if run["state"] == "failed"]
    result: BackfillResult = {
        **backfill,
        "total_runs": len(runs),
        "succeeded_runs": len(runs) - len(failed),
        "failed_runs": [run["dag_run_id"] for run in failed],
    }
    if failed:
        described = yield from _describe_failure(client, failed)
        message = _message("Failed", client, wait, f"{_failure(result)}\n{described}", url)
        return BackfillVerdict("failed", message, url, result)
    return BackfillVerdict("success", _message("Success", client, wait, _success(runs), url), url, result)


def watch_backfill(
    client: Client,
    wait: BackfillWait,
    *,
    poke_interval: float,
    on_change: Callable[[BackfillVerdict], None],
    warn: Callable[[str], None],
) -> Flow[BackfillVerdict]:
    """
    Check a backfill on a worker until it is over.

    :param client: the target
    :param wait: the wait
    :param poke_interval: the longest interval between two checks in seconds
    :param on_change: called with each verdict whose message differs from the one before
    :param warn: called with a message when the wait begins to tolerate errors, and when the target answers again
    :return: the verdict
    :raise AstroError: an error that is not tolerated
    """
    last = ""

    def check() -> Flow[BackfillVerdict | None]:
        nonlocal last
        verdict = yield from check_backfill(client, wait)
        # The exception of the task has the message of a failure.
        if verdict.message != last and verdict.outcome != "failed":
            on_change(verdict)
        last = verdict.message
        return None if verdict.outcome == "pending" else verdict

    found: BackfillVerdict | None = yield from check_until(
        check,
        clock=client.clock,
        poke_interval=poke_interval,
        deadline=None,
        on_tolerated_error=lambda error: warn(still_waiting(dag_subject(wait.dag_id), error)),
        on_answer=lambda: warn(answers_again(dag_subject(wait.dag_id), client.deployment)),
        has_answered=True,
    )
    assert found is not None  # without a deadline, there is always a result
    return found


def _message(outcome: str, client: Client, wait: BackfillWait, details: str, url: str) -> str:
    where = client.deployment
    return outcome_message(outcome, wait.dag_id, wait.facts, where=where, details=details, url=url)


def _success(runs: Sequence[DagRun]) -> str:
    if runs:
        return f"{len(runs)} runs"
    return "Nothing to run: each of its dates has a run already that reprocess_behavior leaves as it is"


def _failure(result: BackfillResult) -> str:
    cancelled = ". It was cancelled or paused" if result["is_paused"] else ""
    total, succeeded, failed = result["total_runs"], result["succeeded_runs"], len(result["failed_runs"])
    return f"Of {total} runs, {succeeded} succeeded and {failed} failed{cancelled}"


def _describe_failure(client: Client, failed: Sequence[DagRun]) -> Flow[str]:
    """Name the failed runs, and describe what failed in the first of them."""
    lines = [f"  {run['logical_date'] or run['partition_key']}: {run['dag_run_id']}" for run in failed[:MAX_NAMED_RUNS]]
    if len(failed) > MAX_NAMED_RUNS:
        lines.append(f"  and {len(failed) - MAX_NAMED_RUNS} more")
    first = failed[0]
    described = yield from describe_failure(client, first)
    url = client.run_url(first["dag_id"], first["dag_run_id"])
    return "\n".join(["Failed runs:", *lines, f"In {first['dag_run_id']}: {described}", url])


def describe_progress(runs: Sequence[DagRun]) -> str:
    """Describe how many runs of a backfill have finished, and how many of them failed."""
    states = Counter(run["state"] for run in runs)
    over = sum(states[state] for state in FINISHED_DAG_RUN_STATES)
    return f"{over} of {len(runs)} runs are over, {states['failed']} failed"


def backfills_url(client: Client, dag_id: str) -> str:
    """Return the URL of the backfills of a dag in the target's UI."""
    return f"{client.deployment.url}/dags/{encoded(dag_id)}/backfills"
