"""Returning what a task of the remote run returned, on a worker and after a deferral."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException
from astro_provider.api.errors import DagRunFailedError, TransportError
from tests.unit.api.json_web_token import EXPIRING, expiring_token
from tests.unit.operators.trigger_operators import (
    RUN_ID,
    RUN_PATH,
    deferral,
    retry_context,
    trigger_operator,
    waiting_operator,
)
from tests.unit.scripted_server import HANGUP
from tests.unit.task_runner import TaskInstance, context

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

pytestmark = pytest.mark.usefixtures("clock")
VALUE = {"rows": [1, None, 0.5]}
ENTRY = f"{RUN_PATH}/taskInstances/report/xcomEntries/return_value"


def on_worker(**options: Any) -> Any:
    operator = trigger_operator(**{"wait_for_completion": True, **options})
    operator.render_template_fields(context())  # type: ignore[arg-type]
    return operator.execute(context())  # type: ignore[arg-type]


def resumed(airflow: FakeAirflowServer, event: dict[str, Any] | None = None, **options: Any) -> Any:
    """Defer, and resume in a new process with the event of a run that has succeeded."""
    deferral(waiting_operator(deferrable=True, **options))
    airflow.end_run(RUN_ID)
    airflow.received.clear()
    run = {**airflow.runs[RUN_ID], "logical_date": None}
    event = {"outcome": "success", "message": "m", "run": run, "url": "u", "error": None}
    return waiting_operator(deferrable=True, **options).execute_complete(context(), json.loads(json.dumps(event)))  # type: ignore[arg-type]


def results(airflow: FakeAirflowServer, **options: Any) -> list[Any]:
    """Return the results of an operator on a worker and after a deferral."""
    first = on_worker(**options)
    airflow.delete_run(RUN_ID)
    return [first, resumed(airflow, **options)]


def test_value_of_a_task_is_returned(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_xcom("report", VALUE)
    assert results(any_airflow, result_task_id="report") == [VALUE, VALUE]


def test_resumed_task_does_not_warn_again_of_a_token_that_expires_soon(
    fake_airflow: FakeAirflowServer, connect: Callable[..., None], log_lines: list[str]
) -> None:
    connect(fake_airflow.url, password=expiring_token())
    fake_airflow.has_xcom("report", VALUE)
    assert resumed(fake_airflow, result_task_id="report") == VALUE
    assert len([line for line in log_lines if line.startswith(EXPIRING)]) == 1


def test_values_of_several_tasks_and_another_key(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_xcom("report", 1, key="rows")
    any_airflow.has_xcom("part", 3, key="rows", map_index=1)
    any_airflow.has_xcom("part", 2, key="rows", map_index=0)
    expected = {"part": [2, 3], "report": 1}
    assert results(any_airflow, result_task_id=["part", "report"], result_key="rows") == [expected, expected]


def test_templates_are_rendered(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.has_xcom("of_2026-02-01", 1, key="k_2026-02-01")
    assert on_worker(result_task_id=["of_{{ ds }}"], result_key="k_{{ ds }}") == {"of_2026-02-01": 1}


def test_run_is_pushed_as_xcom_as_without_a_result(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_xcom("report", VALUE)
    ti = TaskInstance()
    waiting_operator(result_task_id="report").execute(context(ti))  # type: ignore[arg-type]
    assert ti.xcoms["trigger_run_id"] == RUN_ID
    assert ti.xcoms["remote_dag_run_url"].startswith(any_airflow.url)


def test_nothing_is_read_if_no_xcom_is_pushed(any_airflow: FakeAirflowServer) -> None:
    assert {run["dag_run_id"] for run in results(any_airflow, result_task_id="report", do_xcom_push=False)} == {RUN_ID}
    assert "xcomEntries" not in str(any_airflow.calls_received)


def test_nothing_is_read_if_the_run_fails(any_airflow: FakeAirflowServer) -> None:
    any_airflow.new_run_states = ["failed"]
    with pytest.raises(DagRunFailedError):
        on_worker(result_task_id="report")
    assert "xcomEntries" not in str(any_airflow.calls_received)


def test_missing_value_fails_for_good(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_xcom("report", VALUE)
    options = {"result_task_id": "reprot"}
    for run in (lambda: on_worker(**options), lambda: resumed(any_airflow, **options)):
        with pytest.raises(AirflowFailException, match="Tasks of the run that have one: 'report'"):
            run()
        any_airflow.delete_run(RUN_ID)


def test_wait_that_is_rendered_to_false_is_refused_before_anything_is_triggered(
    fake_airflow: FakeAirflowServer,
) -> None:
    with pytest.raises(AirflowFailException, match="result_task_id needs wait_for_completion=True"):
        on_worker(result_task_id="report", wait_for_completion="{{ false }}")
    assert fake_airflow.calls_received == []


@pytest.mark.parametrize("deferrable", [False, True])
def test_retry_reads_a_value_that_could_not_be_read_and_runs_nothing(
    fake_airflow: FakeAirflowServer, clock: FakeClock, deferrable: bool
) -> None:
    fake_airflow.has_xcom("report", VALUE)
    fake_airflow.on("GET", ENTRY, HANGUP, HANGUP, HANGUP, fake_airflow.stored_response)
    options = {"result_task_id": "report", "retries": 2}
    with pytest.raises(TransportError):
        (resumed(fake_airflow, **options) if deferrable else on_worker(**options))
    retry = waiting_operator(deferrable=deferrable, **options)
    assert retry.execute(retry_context()) == VALUE  # type: ignore[arg-type]
    assert list(fake_airflow.runs) == [RUN_ID]
    assert (fake_airflow.cleared, fake_airflow.cleared_tasks) == ([], [])
