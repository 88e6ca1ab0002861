"""Trigger operators, the contexts of their tries, and runs that clash with theirs, for the tests."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator
from tests.airflow_names import DAG, TaskDeferred
from tests.unit.task_runner import Store, TaskInstance, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer

RUN_ID = "here.example.com~local~manual__2026-02-01T06:00:00+00:00~trigger~1"
"""The run id that a first try derives, see ``tests.unit.task_runner.TaskInstance``."""

NOTE = (
    "Triggered by [task `trigger` of dag `local`](https://here.example.com/dags/local/tasks/trigger), "
    "run `manual__2026-02-01T06:00:00+00:00`."
)
"""The default note of that run."""

RUN_PATH = f"dags/d/dagRuns/{RUN_ID.replace(':', '%3A').replace('+', '%2B')}"
"""The endpoint of that run."""

DATE = "2026-01-31T06:00:00+00:00"

_BEFORE = "2026-01-01T00:00:00+00:00"
CREATED_BEFORE = {"queued_at": _BEFORE, "start_date": _BEFORE, "logical_date": _BEFORE}
"""Dates of a run that was created before this task's dag run started."""

any_clash = pytest.mark.parametrize("by", ["run id", "logical date"])
"""Runs a test for each kind of clash, see :func:`add_clashing_run`."""


def trigger_operator(**options: Any) -> AstroTriggerDagRunOperator:
    return AstroTriggerDagRunOperator(**{"task_id": "trigger", "trigger_dag_id": "d", **options})


def waiting_operator(**options: Any) -> AstroTriggerDagRunOperator:
    return trigger_operator(wait_for_completion=True, **options)


def deferrable_operator(*, dag_options: dict[str, Any] | None = None, **options: Any) -> AstroTriggerDagRunOperator:
    """Create a deferrable operator ``trigger`` in the DAG ``local``."""
    with DAG("local", **{"start_date": datetime(2026, 1, 1), "schedule": None, **(dag_options or {})}):
        return trigger_operator(**{"deferrable": True, **options})


def retry_context(number: int = 2, store: Store | None = None, **ti: Any) -> dict[str, Any]:
    """Make the context of a retry of a task with two retries."""
    more = {} if store is None else {"task_state_store": store}
    return context(TaskInstance(try_number=number, max_tries=2, **ti), **more)


def add_clashing_run(fake_airflow: FakeAirflowServer, by: str, *course: str) -> dict[str, Any]:
    """
    Create a run that no task of these tests has created.

    :param by: what the run has in common with the run that the operator would create
    :param course: the states that the run goes through
    :return: the options of an operator that would create the same run
    """
    fake_airflow.has_run("theirs", *course, logical_date=DATE)
    return {"trigger_run_id": "theirs"} if by == "run id" else {"logical_date": DATE}


def deferral(operator: AstroTriggerDagRunOperator, ti: TaskInstance | None = None) -> TaskDeferred:
    """Execute an operator that defers, and return how."""
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context(ti))
    return caught.value
