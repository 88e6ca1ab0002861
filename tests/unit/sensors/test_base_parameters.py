"""The parameters of sensors in a DAG file: which are refused, and how Airflow renders, maps and serializes them."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from itertools import combinations
from typing import Any

import pytest

from astro_provider.airflow_versions import conf
from astro_provider.sensors.dag_run import AstroDagRunSensor
from tests.airflow_names import DAG
from tests.unit.sensors.factory import dag_run_sensor
from tests.unit.task_runner import context, round_trip

WAYS_TO_NAME_A_RUN: dict[str, Any] = {
    "external_run_id": "r",
    "logical_date": "2026-01-31",
    "execution_delta": timedelta(hours=1),
    "execution_date_fn": lambda date: date,
    "latest": True,
    "logical_date_range": ("2026-01-31", "2026-02-01"),
    "partition_key": "p",
    "idle": True,
}


@pytest.mark.parametrize(("one", "other"), list(combinations(WAYS_TO_NAME_A_RUN, 2)))
def test_two_ways_to_name_the_run_exclude_each_other(one: str, other: str) -> None:
    with pytest.raises(ValueError, match=f"{one} and {other} exclude each other"):
        dag_run_sensor(**{one: WAYS_TO_NAME_A_RUN[one], other: WAYS_TO_NAME_A_RUN[other]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"allowed_states": ["sucess"]},
            "allowed_states has unknown state 'sucess'; choices: queued, running, success",
        ),
        ({"failed_states": ["upstream_failed"]}, "failed_states has unknown state 'upstream_failed'"),
        ({"skipped_states": ["skipped"]}, "skipped_states has unknown state 'skipped'"),
        ({"allowed_states": ["failed"], "failed_states": ["failed"]}, "failed stands in more than one of allowed_sta"),
        ({"failed_states": ["failed"], "skipped_states": ["failed"]}, "failed stands in more than one of allowed_sta"),
        ({"failed_states": "failed"}, "failed_states must be a list of states, not the text 'failed'"),
    ],
)
def test_invalid_states_are_refused_at_parse_time(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dag_run_sensor(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"since": "2026-01-31"}, "since needs latest"),
        ({"expected_runs": 2, "latest": True}, "expected_runs needs logical_date_range"),
        (
            {"logical_date_range": ("2026-01-31", "2026-02-01"), "expected_runs": 0},
            "a whole number of 1 or more, not 0",
        ),
        ({"logical_date_range": ("2026-01-31", "2026-01-31")}, "must start before it ends"),
        ({"logical_date_range": ["2026-01-31"]}, "must be a start and an end"),
    ],
)
def test_runs_that_cannot_be_waited_for_are_refused_at_parse_time(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dag_run_sensor(**options)


@pytest.mark.parametrize("parameter", ["poke_interval", "timeout"])
@pytest.mark.parametrize("seconds", [-1, True, "5", float("nan"), float("inf")])
def test_invalid_seconds_are_refused_at_parse_time(parameter: str, seconds: Any) -> None:
    with pytest.raises(ValueError, match=f"{parameter} must be a number of seconds, 0 or more and finite"):
        dag_run_sensor(**{parameter: seconds})


def test_default_failed_states_exclude_allowed_states() -> None:
    assert dag_run_sensor(allowed_states=["failed"]).failed_states == []
    assert dag_run_sensor(allowed_states=["running"]).failed_states == ["failed"]


def test_state_can_be_a_member_of_an_enum() -> None:
    class State(str, Enum):
        QUEUED = "queued"

    assert dag_run_sensor(allowed_states=[State.QUEUED]).allowed_states == ["queued"]


def test_poke_interval_is_five_seconds_by_default_and_can_be_a_timedelta() -> None:
    assert dag_run_sensor().poke_interval == 5
    assert dag_run_sensor(poke_interval=timedelta(minutes=1)).poke_interval == 60


def test_timeout_is_that_of_the_configuration_by_default_or_that_of_default_args() -> None:
    assert dag_run_sensor().timeout == conf.getfloat("sensors", "default_timeout")
    with DAG("local", schedule=None, default_args={"timeout": timedelta(minutes=1)}):
        assert dag_run_sensor().timeout == 60
        assert dag_run_sensor(task_id="other", timeout=30).timeout == 30


def test_templates_are_rendered() -> None:
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None):
        by_id = dag_run_sensor(external_dag_id="d_{{ ds }}", http_conn_id="c_{{ ds }}", external_run_id="r_{{ ds }}")
        by_date = dag_run_sensor(task_id="by_date", logical_date="{{ ds }}T00:00:00Z")
    by_id.render_template_fields(context())
    by_date.render_template_fields(context())
    rendered = (by_id.external_dag_id, by_id.http_conn_id, by_id.external_run_id, by_date.logical_date)
    assert rendered == ("d_2026-02-01", "c_2026-02-01", "r_2026-02-01", "2026-02-01T00:00:00Z")


def test_sensor_can_be_mapped_and_serialized() -> None:
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None) as dag:
        dag_run_sensor(execution_delta=timedelta(hours=1), mode="reschedule")
        mapped = AstroDagRunSensor.partial(task_id="mapped", latest=True, deferrable=True).expand(
            external_dag_id=["a", "b"]
        )
    unmapped = mapped.unmap({"external_dag_id": "b"})
    assert isinstance(unmapped, AstroDagRunSensor)
    assert (unmapped.external_dag_id, unmapped.latest, unmapped.deferrable) == ("b", True, True)
    tasks = round_trip(dag).task_dict
    assert set(tasks) == {"wait", "mapped"}
    assert [link.name for link in tasks["wait"].operator_extra_links] == ["Remote dag run"]
