"""How ``execution_timeout`` limits the wait of a deferred task, with a message that says what the task waited for."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from astro_provider.airflow_versions import EXECUTION_TIMEOUT_SPANS_DEFERRAL
from astro_provider.api.message import restated

MAX_END_SECONDS = 30.0
"""
How long before ``execution_timeout`` a wait ends on Airflow 2, and in a task that starts in the triggerer.

There, Airflow also counts the time that it takes to cancel the run and to end the task.
"""

BACKUP_SECONDS = 60.0
"""How long after the deadline of the trigger Airflow 3 ends the deferral itself, if no triggerer has ended it."""


def deferral_limits(
    execution_timeout: timedelta | None, started: datetime | None
) -> tuple[float | None, timedelta | None]:
    """
    Derive the deadline of a deferred task's trigger, which ends the wait before Airflow ends it without a message.

    :param execution_timeout: the limit of one try of the task; ``None`` for no limit
    :param started: when this try of the task started; ``None`` for now
    :return: the deadline of the trigger, in seconds since the epoch, and the ``timeout`` of the deferral; both ``None``
        without a limit
    """
    if execution_timeout is None:
        return None, None
    now = datetime.now(timezone.utc)
    end = (started or now) + execution_timeout
    if EXECUTION_TIMEOUT_SPANS_DEFERRAL:
        return end.timestamp() - _seconds_to_end(execution_timeout.total_seconds()), execution_timeout
    return end.timestamp(), end - now + timedelta(seconds=BACKUP_SECONDS)


def deadline_in_triggerer(timeout_after: datetime | None, execution_timeout: float | None) -> float | None:
    """
    Derive the deadline of the wait of a task that starts in the triggerer.

    :param timeout_after: when Airflow ends the task; ``None`` for never
    :param execution_timeout: the limit of the task in seconds; ``None`` for no limit
    :return: the deadline, in seconds since the epoch; ``None`` without a limit
    """
    if timeout_after is None or execution_timeout is None:
        return None
    return timeout_after.timestamp() - _seconds_to_end(execution_timeout)


def _seconds_to_end(execution_timeout: float) -> float:
    """Reserve a tenth of the limit, but five seconds or a fifth of it if that tenth is too short for anything."""
    return min(MAX_END_SECONDS, max(execution_timeout / 10, min(5.0, execution_timeout / 5)))


def timed_out(last_seen: str, limit: float | timedelta | None, option: str) -> str:
    """
    Write the message of a wait that took too long.

    :param last_seen: the message of the last check
    :param limit: the limit; a number is in seconds
    :param option: the option of the task that set it
    """
    seconds = limit.total_seconds() if isinstance(limit, timedelta) else limit
    after = "" if seconds is None else f" after {seconds:g} s"
    return restated(last_seen, f"Timed out{after}", f"Limit: {option}. Last seen: {{}}")
