"""How ``execution_timeout`` limits the wait of a deferred task: Airflow's own limit gives the task no message."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from astro_provider.airflow_versions import EXECUTION_TIMEOUT_SPANS_DEFERRAL

MAX_RESUME_SECONDS = 30.0
"""Seconds before the limit at which a wait ends on Airflow 2, where the time until a worker has resumed counts, too."""
BACKUP_SECONDS = 60.0
"""Seconds after the wait's deadline at which Airflow 3 ends the deferral, should no triggerer have done so."""


def deferral_limits(
    execution_timeout: timedelta | None, started: datetime | None
) -> tuple[float | None, timedelta | None]:
    """
    Derive when the trigger of a deferred task gives up, so that the task can say what it waited for.

    :param execution_timeout: the limit of one try of the task; ``None`` for no limit
    :param started: when this try of the task started; ``None`` for now
    :return: the deadline of the trigger, in seconds since the epoch, and the ``timeout`` of the deferral
    """
    if execution_timeout is None:
        return None, None
    now = datetime.now(timezone.utc)
    end = (started or now) + execution_timeout
    if EXECUTION_TIMEOUT_SPANS_DEFERRAL:
        early = min(MAX_RESUME_SECONDS, execution_timeout.total_seconds() / 10)
        return end.timestamp() - early, execution_timeout
    return end.timestamp(), end - now + timedelta(seconds=BACKUP_SECONDS)


def timeout_message(dag_id: str, execution_timeout: timedelta | None, happened: str, url: str | None) -> str:
    """
    Say that a wait took too long.

    :param dag_id: the dag in the target
    :param execution_timeout: the limit
    :param happened: what was waited for, and what became of it
    :param url: where the target's UI shows the run
    """
    see = f" See {url}" if url else ""
    return f"Timed out: dag {dag_id!r} did not finish within execution_timeout ({execution_timeout}). {happened}.{see}"
