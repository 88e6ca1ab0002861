"""Results of sensors that live in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from tests.unit.scripted_server import HANGUP
from tests.unit.triggers.factory import run_trigger, sensor_trigger

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer

pytestmark = [
    pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and later"),
    pytest.mark.usefixtures("_log_is_flushed_at_once", "clock"),
]
RUN = {"external_run_id": "theirs"}


async def test_value_is_stored_with_its_type(any_airflow: FakeAirflowServer, xcoms: dict[str, Any]) -> None:
    any_airflow.has_run("theirs", "running", "success")
    any_airflow.has_xcom("of_2026-02-01", {"rows": [1, None]}, key="k_2026-02-01")
    options = {"result_task_id": "of_{{ ds }}", "result_key": "k_{{ ds }}", **RUN}
    assert await run_trigger(sensor_trigger(**options)) == ("success", None)
    assert xcoms["return_value"] == {"rows": [1, None]}


@pytest.mark.parametrize("options", [{}, {"result_task_id": "report", "do_xcom_push": False}], ids=str)
async def test_nothing_is_read_that_is_not_pushed(
    any_airflow: FakeAirflowServer, xcoms: dict[str, Any], options: dict[str, Any]
) -> None:
    any_airflow.has_run("theirs", "success")
    assert await run_trigger(sensor_trigger(**options, **RUN)) == ("success", None)
    assert list(xcoms) == ["remote_dag_run_url"]
    assert "xcomEntries" not in str(any_airflow.calls_received)


async def test_value_that_cannot_be_read_is_read_by_a_worker(
    fake_airflow: FakeAirflowServer, xcoms: dict[str, Any], log_lines: list[str]
) -> None:
    fake_airflow.has_run("theirs", "success")
    fake_airflow.on("GET", "dags/d/dagRuns/theirs/taskInstances/report/xcomEntries/return_value", HANGUP)
    ended_in, payload = await run_trigger(sensor_trigger(result_task_id="report", **RUN))
    assert (ended_in, payload and payload["outcome"]) == ("worker", "success")
    assert "return_value" not in xcoms
    assert log_lines[-1].startswith("The result could not be read or stored: ")


async def test_result_that_is_rendered_to_nothing_is_reported_by_a_worker(fake_airflow: FakeAirflowServer) -> None:
    fake_airflow.has_run("theirs", "success")
    ended_in, payload = await run_trigger(sensor_trigger(result_task_id="{{ none }}", **RUN))
    assert (ended_in, payload and payload["outcome"]) == ("worker", "restart")
