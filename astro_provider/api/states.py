"""The states of dag runs and task instances, and the check of those that a user names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api.errors import InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable

DAG_RUN_STATES = ("queued", "running", "success", "failed")
"""Airflow's ``DagRunState``, the same in 2.x and 3.x."""

FINISHED_DAG_RUN_STATES = ("success", "failed")

TASK_STATES = (
    "none",
    "scheduled",
    "queued",
    "running",
    "success",
    "restarting",
    "failed",
    "up_for_retry",
    "up_for_reschedule",
    "upstream_failed",
    "skipped",
    "deferred",
    "removed",
    "awaiting_input",
    "shutdown",
)
"""Airflow's ``TaskInstanceState`` of 2.x and 3.x, with ``none`` for a task without one."""

FINISHED_TASK_STATES = ("success", "failed", "skipped", "upstream_failed", "removed")


def checked_states(
    parameter: str, states: Iterable[str] | None, choices: tuple[str, ...], default: tuple[str, ...]
) -> list[str]:
    """
    Read a parameter that names states.

    :param parameter: the parameter's name, for the error
    :param states: what the user gave: names or members of Airflow's enums; ``None`` means ``default``
    :param choices: the names that there are
    :param default: what ``None`` means
    :return: the names as plain text
    :raise InvalidParameterError: a name that is not one of ``choices``, or a single text where a list belongs
    """
    if states is None:
        return list(default)
    if isinstance(states, str):
        raise InvalidParameterError(f"{parameter} must be a list of states, not the text {str(states)!r}")
    names = [str(getattr(state, "value", state)) for state in states]
    if unknown := [name for name in names if name not in choices]:
        raise InvalidParameterError(f"{parameter} has unknown state {unknown[0]!r}; choices: {', '.join(choices)}")
    return names
