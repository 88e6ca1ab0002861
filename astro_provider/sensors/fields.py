"""What a sensor's fields come to once they are rendered, on a worker or in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api.dates import iso

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta


def logical_dates(
    *,
    external_run_id: str | None,
    latest: bool,
    logical_date: datetime | str | None,
    execution_delta: timedelta,
    own: datetime | None,
) -> list[str]:
    """
    Work out the logical dates (ISO 8601) of the runs to wait for.

    :param external_run_id: the run, if it is named by its id
    :param latest: whether the newest run is meant
    :param logical_date: that of the run; ``None``, or a template that came to nothing, for the task's own
    :param execution_delta: how much earlier than the task's own it is
    :param own: the logical date of the waiting task's run, if it has one
    :return: one date; none where the run is named otherwise
    :raise ValueError: they name no run
    """
    if external_run_id in ("", "None"):
        raise ValueError(f"external_run_id was rendered to {external_run_id!r}: it names no run")
    if external_run_id or latest:
        return []
    if (date := iso("logical_date", logical_date)) is not None:
        return [date]
    if own is None:
        raise ValueError(
            "This task's run has no logical date, so there is none to wait for: "
            "give external_run_id or logical_date, or choose latest=True"
        )
    return [(own - execution_delta).isoformat()]


def tasks(
    task_id: str | None, task_ids: Sequence[str] | None, group_id: str | None
) -> tuple[Sequence[str], str | None]:
    """
    Check what names the tasks to wait for; one of the three is given.

    :return: the task ids, or the group's
    :raise ValueError: a template came to nothing, or to a text where a list is wanted
    """
    if isinstance(task_ids, str):
        raise ValueError(f"external_task_ids must be a list of task ids, not the text {task_ids!r}")
    ids = [task_id] if task_id is not None else list(task_ids or ())
    named = [group_id] if group_id is not None else ids
    if not named or any(name in (None, "", "None") for name in named):
        raise ValueError(
            f"external_task_id, external_task_ids or external_task_group_id names no task: it was rendered to {named!r}"
        )
    return ids, group_id


def timed_out(timeout: float, last_seen: str) -> str:
    """Say that a wait was given up, and what was seen last."""
    return f"Not over after {timeout:g} seconds (timeout). Last seen: {last_seen}"


def skipped_instead(option: str, message: str) -> str:
    """Say why a task that would have failed is skipped."""
    return f"Skipped, as {option} is set: {message}"
