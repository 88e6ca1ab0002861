"""The states of dag runs and task instances, and the validation of states that users name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api.errors import InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable

DAG_RUN_STATES = ("queued", "running", "success", "failed")
"""The states of Airflow's ``DagRunState``, the same in Airflow 2 and 3."""

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
"""The states of Airflow's ``TaskInstanceState`` in Airflow 2 and 3, and ``none`` for a task without a state."""

FINISHED_TASK_STATES = ("success", "failed", "skipped", "upstream_failed", "removed")

ACTIVE_TASK_STATES = ("queued", "running", "restarting", "deferred")
"""
The states of task instances that go on by themselves in a paused dag, until they have ended or wait for the scheduler.

* ``queued``: the executor has the task, and starts it.
* ``running``, and ``restarting``, in which a task that was cleared while it ran is still being stopped.
* ``deferred``: a trigger runs, and often work in another system that the trigger waits for. When the trigger has ended,
  the task is ``scheduled``.

In every other state, ``none``, ``scheduled``, ``up_for_retry``, ``up_for_reschedule`` and ``awaiting_input`` included,
a task instance runs only after the scheduler has queued it, and the scheduler does so in a running run of a dag that is
not paused. Measured: 2.11.2 and 3.3.2. Check: pause dags whose tasks are in these states, and list them a minute later.
"""


def checked_states(
    parameter: str, states: Iterable[str] | None, choices: tuple[str, ...], default: tuple[str, ...]
) -> list[str]:
    """
    Validate a parameter that names states.

    :param parameter: name of the parameter, for the error
    :param states: names, or members of Airflow's enums; ``None`` means ``default``
    :param choices: the names that exist
    :param default: the states for ``None``
    :return: the names as strings
    :raise InvalidParameterError: a name is not one of ``choices``, or the value is one string instead of a list
    """
    if states is None:
        return list(default)
    if isinstance(states, str):
        raise InvalidParameterError(f"{parameter} must be a list of states, not the text {str(states)!r}")
    names = [str(getattr(state, "value", state)) for state in states]
    if unknown := [name for name in names if name not in choices]:
        raise InvalidParameterError(f"{parameter} has unknown state {unknown[0]!r}; choices: {', '.join(choices)}")
    return names
