"""A sensor whose connection leads to a gateway that answers 404 to everything, as JSON like Airflow does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.api.errors import NotAirflowError
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.waits.transient import MAX_REFUSED_AT_FIRST_SECONDS
from tests.unit.scripted_target import json_response
from tests.unit.task_runner import context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock

NO_ROUTE = json_response({"message": "no Route matched with those values"}, 404)


@pytest.fixture
def gateway(any_airflow: FakeAirflowServer, monkeypatch: pytest.MonkeyPatch) -> FakeAirflowServer:
    monkeypatch.setattr(any_airflow, "_default_response", lambda received: NO_ROUTE)
    return any_airflow


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_a_gateway_without_a_route_is_no_run_that_is_not_there_yet(
    gateway: FakeAirflowServer, clock: FakeClock, mode: str
) -> None:
    waiting = AstroDagRunSensor(task_id="wait", external_dag_id="d", external_run_id="theirs", mode=mode)
    with pytest.raises(NotAirflowError, match=r"answers 404 to everything.* Check Host of the connection"):
        waiting.execute(context())
    assert sum(clock.sleeps) == pytest.approx(MAX_REFUSED_AT_FIRST_SECONDS, abs=15)
