"""Results of remote runs whose tasks live in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from tests.unit.operators.trigger_operators import RUN_ID, RUN_PATH
from tests.unit.scripted_server import HANGUP
from tests.unit.triggers.factory import run_trigger
from tests.unit.triggers.factory import trigger_dag_run_trigger as started_trigger

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer

pytestmark = [
    pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="Airflow 3.3 and later"),
    pytest.mark.usefixtures("_log_is_flushed_at_once", "clock"),
]
WAIT = {"wait_for_completion": True}


@pytest.mark.parametrize("value", [{"rows": [1, None]}, [1], "text", 7, None])
async def test_value_is_stored_with_its_type(any_airflow: FakeAirflowServer, xcoms: dict[str, Any], value: Any) -> None:
    any_airflow.has_xcom("report", value)
    assert await run_trigger(started_trigger(result_task_id="report", **WAIT)) == ("success", None)
    assert xcoms["return_value"] == value
    assert xcoms["trigger_run_id"] == RUN_ID


async def test_rendered_list_and_key(any_airflow: FakeAirflowServer, xcoms: dict[str, Any]) -> None:
    any_airflow.has_xcom("of_2026-02-01", 1, key="rows_2026-02-01")
    any_airflow.has_xcom("part", 2, key="rows_2026-02-01", map_index=0)
    options = {"result_task_id": ("of_{{ ds }}", "part"), "result_key": "rows_{{ ds }}"}
    assert await run_trigger(started_trigger(**options, **WAIT)) == ("success", None)
    assert xcoms["return_value"] == {"of_2026-02-01": 1, "part": [2]}


async def test_nothing_is_read_if_no_xcom_is_pushed(any_airflow: FakeAirflowServer, xcoms: dict[str, Any]) -> None:
    options = {"result_task_id": "report", "do_xcom_push": False}
    assert await run_trigger(started_trigger(**options, **WAIT)) == ("success", None)
    assert "return_value" not in xcoms
    assert "xcomEntries" not in str(any_airflow.calls_received)


async def test_value_that_cannot_be_read_is_read_by_a_worker(
    fake_airflow: FakeAirflowServer, xcoms: dict[str, Any], log_lines: list[str]
) -> None:
    fake_airflow.on("GET", f"{RUN_PATH}/taskInstances/report/xcomEntries/return_value", HANGUP)
    ended_in, payload = await run_trigger(started_trigger(result_task_id="report", **WAIT))
    assert ended_in == "worker"
    assert payload is not None
    assert (payload["outcome"], payload["run"]["dag_run_id"]) == ("success", RUN_ID)
    assert "return_value" not in xcoms
    assert log_lines[-1].startswith("The result could not be read or stored: ")


async def test_result_without_waiting_is_reported_by_a_worker(fake_airflow: FakeAirflowServer) -> None:
    options = {"result_task_id": "report", "wait_for_completion": "{{ 'no' }}"}
    ended_in, payload = await run_trigger(started_trigger(**options))
    assert (ended_in, payload and payload["outcome"]) == ("worker", "restart")
    assert fake_airflow.calls_received == []
