"""Which dag run a sensor waits for."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException
from astro_provider.api.dates import parse_date
from astro_provider.api.errors import DagRunFailedError
from tests.unit.sensors.factory import dag_run_sensor, run_id_sensor
from tests.unit.task_runner import LOGICAL_DATE, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer

OWN_DATE = "2026-02-01T06:00:00Z"
EARLIER_DATE = "2026-02-01T05:00:00Z"


def test_external_run_id_names_the_run(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "running", "success", logical_date=EARLIER_DATE)
    any_airflow.has_run("another", "failed", logical_date=OWN_DATE)
    sensor = run_id_sensor()
    assert [sensor.poke(context()) for _ in range(2)] == [False, True]


@pytest.mark.parametrize(
    "date", ["2026-02-01T05:00:00Z", "2026-02-01T06:00:00+01:00", "2026-02-01 05:00", datetime(2026, 2, 1, 5)]
)
def test_logical_date_names_the_run(any_airflow: FakeAirflowServer, date: Any) -> None:
    any_airflow.has_run("theirs", "success", logical_date=EARLIER_DATE)
    any_airflow.has_run("another", "running", logical_date=OWN_DATE)
    assert dag_run_sensor(logical_date=date).poke(context())


def test_logical_date_of_the_own_run_is_the_default(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("another", "running", logical_date=EARLIER_DATE)
    any_airflow.has_run("theirs", "success", logical_date=OWN_DATE)
    assert dag_run_sensor().poke(context())


def test_time_zone_of_the_own_logical_date_does_not_matter(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "success", logical_date=OWN_DATE)
    local_date = LOGICAL_DATE.astimezone(timezone(timedelta(hours=9)))
    assert dag_run_sensor().poke(context(logical_date=local_date))


def test_execution_delta_is_subtracted_from_the_own_logical_date(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "success", logical_date=EARLIER_DATE)
    any_airflow.has_run("another", "running", logical_date=OWN_DATE)
    assert dag_run_sensor(execution_delta=timedelta(hours=1)).poke(context())
    assert not dag_run_sensor(execution_delta=timedelta(hours=-1)).poke(context())


def test_execution_date_fn_is_called_with_the_own_logical_date(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "success", logical_date=EARLIER_DATE)
    assert dag_run_sensor(execution_date_fn=lambda date: date - timedelta(hours=1)).poke(context())
    assert not dag_run_sensor(execution_date_fn=lambda date: date).poke(context())


def test_execution_date_fn_is_called_with_context_variables(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("theirs", "success", logical_date=EARLIER_DATE)
    called_with: list[Any] = []

    def earlier_date(date: datetime, ds: str, ti: Any) -> str:
        called_with.extend((date, ds, ti.task_id))
        return f"{ds}T05:00:00Z"

    assert dag_run_sensor(execution_date_fn=earlier_date).poke(context())
    assert called_with == [LOGICAL_DATE, "2026-02-01", "trigger"]


@pytest.mark.parametrize("collection", [list, tuple])
def test_all_runs_that_execution_date_fn_names_must_succeed(any_airflow: FakeAirflowServer, collection: Any) -> None:
    sensor = dag_run_sensor(execution_date_fn=lambda date: collection([date - timedelta(hours=1), date]))
    assert not sensor.poke(context())
    any_airflow.has_run("one", "success", logical_date=EARLIER_DATE)
    assert not sensor.poke(context())
    any_airflow.has_run("two", "running", "success", logical_date=OWN_DATE)
    assert [sensor.poke(context()) for _ in range(2)] == [False, True]


def test_sensor_fails_if_one_of_several_runs_fails(any_airflow: FakeAirflowServer) -> None:
    any_airflow.has_run("one", "failed", logical_date=EARLIER_DATE)
    with pytest.raises(DagRunFailedError, match=r"Failed tasks|None of its tasks failed"):
        dag_run_sensor(execution_date_fn=lambda date: [date - timedelta(hours=1), date]).poke(context())


def test_latest_names_the_newest_run_that_is_not_in_the_future(any_airflow: FakeAirflowServer) -> None:
    field = "run_after" if any_airflow.api_version == "v2" else "logical_date"
    sensor = dag_run_sensor(latest=True)
    assert not sensor.poke(context(logical_date=None))
    any_airflow.has_run("one", "success", **{field: EARLIER_DATE})
    any_airflow.has_run("two", "running", "success", **{field: OWN_DATE})
    any_airflow.has_run("future", "queued", **{field: "2026-03-01T00:00:00Z"})
    assert not sensor.poke(context(logical_date=None))
    assert sensor.poke(context(logical_date=None))


@pytest.mark.parametrize("lead", [-3600, 3600])
def test_latest_uses_the_clock_of_the_target(any_airflow: FakeAirflowServer, lead: float) -> None:
    from astro_provider.api import client
    from astro_provider.hooks.astro import AstroHook

    memory = client.client_of(AstroHook().deployment).memory
    memory.clock_lead = lead
    assert not dag_run_sensor(latest=True).poke(context())
    request = next(received for received in any_airflow.received if received.query.get("limit") == ["1"])
    (until,) = request.query.get("run_after_lte") or request.query["execution_date_lte"]
    now = datetime.now(timezone.utc)
    assert abs((parse_date(until) - now).total_seconds() - lead) < 2


def test_sensor_fails_for_good_if_its_own_run_has_no_date(any_airflow: FakeAirflowServer) -> None:
    with pytest.raises(AirflowFailException, match="give external_run_id or logical_date, or choose latest=True"):
        dag_run_sensor().poke(context(logical_date=None))
    assert any_airflow.received == []


def test_invalid_logical_date_fails_the_sensor_for_good(fake_airflow: FakeAirflowServer) -> None:
    sensor = dag_run_sensor(logical_date="{{ params.day }}")
    sensor.logical_date = "tomorrow"  # what the template was rendered to
    with pytest.raises(AirflowFailException, match="logical_date: 'tomorrow' is no ISO 8601 date"):
        sensor.poke(context())


@pytest.mark.parametrize("way", [{"external_run_id": "theirs"}, {}, {"latest": True}])
def test_sensor_waits_for_a_run_that_does_not_exist_yet(
    any_airflow: FakeAirflowServer, way: dict[str, Any], log_lines: list[str]
) -> None:
    assert not dag_run_sensor(**way).poke(context())
    assert any(line.startswith("Not there yet: dag 'd'") for line in log_lines)


@pytest.mark.parametrize("way", [{"external_run_id": "theirs"}, {}, {"latest": True}])
def test_sensor_waits_for_a_dag_that_does_not_exist_yet(any_airflow: FakeAirflowServer, way: dict[str, Any]) -> None:
    assert not dag_run_sensor(external_dag_id="none", **way).poke(context())


# Messages about several runs


def hourly_dates(airflow: FakeAirflowServer, *states: str) -> list[str]:
    """Return the logical dates of 24 hourly runs, of which the first ones exist and have these states."""
    dates = [(LOGICAL_DATE + timedelta(hours=hour)).isoformat() for hour in range(24)]
    for date, state in zip(dates, states, strict=False):
        airflow.has_run(f"run-{parse_date(date).hour}", state, logical_date=date)
    return dates


def test_message_counts_several_runs_and_names_the_first_missing_ones(
    any_airflow: FakeAirflowServer, log_lines: list[str]
) -> None:
    dates = hourly_dates(any_airflow, *["success"] * 22)
    assert not dag_run_sensor(execution_date_fn=lambda date: dates).poke(context())
    assert "22 of 24 are success (22 of 24 runs are there; not there yet: " in log_lines[-1]
    assert f"{dates[22]} and {dates[23]})\n" in log_lines[-1]
    assert log_lines[-1].count("2026-02-0") == 5 + 2  # not all 24


def test_message_names_the_failed_one_of_several_runs_first(any_airflow: FakeAirflowServer) -> None:
    dates = hourly_dates(any_airflow, *["success"] * 3, "failed", *["success"] * 20)
    with pytest.raises(DagRunFailedError, match="run 'run-9' is failed; 23 of 24 are success"):
        dag_run_sensor(execution_date_fn=lambda date: dates).poke(context())
