"""The trigger that a sensor defers to."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.scripted_target import TOKEN
from tests.unit.sensors.factory import deferral, run_id_sensor, task_sensor

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer


def test_trigger_has_the_wait_of_the_sensor(fake_airflow: FakeAirflowServer) -> None:
    sensor = task_sensor(
        external_run_id=None,
        external_task_ids=["a", "b"],
        logical_date="2026-02-01T05:00:00Z",
        allowed_states=["success", "skipped"],
        failed_states=["failed"],
        skipped_states=["removed"],
        poke_interval=timedelta(seconds=7),
        http_conn_id="http_conn",
        deferrable=True,
    )
    deferred = deferral(sensor)
    assert deferred.method_name == "execute_complete"
    path, arguments = deferred.trigger.serialize()
    assert path == "astro_provider.triggers.dag_run.AstroDagRunTrigger"
    assert arguments == {
        "http_conn_id": "http_conn",
        "wait": {
            "dag_id": "d",
            "end_states": {"allowed": ["success", "skipped"], "failed": ["failed"], "skipped": ["removed"]},
            "logical_dates": ["2026-02-01T05:00:00+00:00"],
            "task_ids": ["a", "b"],
        },
        "poke_interval": 7,
        "deadline": arguments["deadline"],
        "cancel_on_kill": False,
        "started_at": arguments["deadline"] - sensor.timeout,
    }


@pytest.mark.parametrize("options", [{"latest": True, "external_run_id": None}, {"external_dag_id": "none"}], ids=str)
def test_trigger_holds_no_credentials(fake_airflow: FakeAirflowServer, options: dict[str, Any]) -> None:
    _, arguments = deferral(run_id_sensor(deferrable=True, **options)).trigger.serialize()
    assert TOKEN not in json.dumps(arguments)
    assert arguments["wait"].get("latest", False) is options.get("latest", False)
