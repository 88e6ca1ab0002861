"""The lists of what runs: one page each, with the filters that both API versions have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api import idle_lists
from astro_provider.api.states import ACTIVE_TASK_STATES, FINISHED_TASK_STATES
from tests.unit.fake_airflow import FakeAirflow

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(params=["v1", "v2"])
def airflow(request: pytest.FixtureRequest) -> FakeAirflow:
    airflow = FakeAirflow(request.param)
    airflow.dags = {"d": False, "e": True, "f": False}
    for dag_id in airflow.dags:
        for state in ("queued", "running", "success"):
            airflow.has_run(state, state, dag_id=dag_id)
        for state in (*ACTIVE_TASK_STATES, "scheduled", *FINISHED_TASK_STATES):
            airflow.has_task(state, state, run_id="running", dag_id=dag_id)
    return airflow


def listed(airflow: FakeAirflow, function: Callable[..., Any], *arguments: Any) -> tuple[list[Any], int]:
    rows, total = airflow.run(function(airflow.client(api_version=airflow.api_version), *arguments))
    assert len(airflow.received) == 1
    return rows, total


def test_active_tasks_of_one_dag(airflow: FakeAirflow) -> None:
    rows, total = listed(airflow, idle_lists.active_tasks_of_dag, "d", 3)
    assert [(row["dag_id"], row["state"]) for row in rows] == [("d", state) for state in ACTIVE_TASK_STATES[:3]]
    assert total == len(ACTIVE_TASK_STATES)


def test_unfinished_runs_of_one_dag(airflow: FakeAirflow) -> None:
    rows, total = listed(airflow, idle_lists.unfinished_runs_of_dag, "d", 1)
    assert [(row["dag_id"], row["state"]) for row in rows] == [("d", "queued")]
    assert total == 2


def test_active_tasks_of_several_dags(airflow: FakeAirflow) -> None:
    rows, total = listed(airflow, idle_lists.active_tasks, ["d", "f", "none"])
    assert {(row["dag_id"], row["state"]) for row in rows} == {(d, s) for d in "df" for s in ACTIVE_TASK_STATES}
    assert total == 2 * len(ACTIVE_TASK_STATES)


def test_unfinished_runs_of_several_dags(airflow: FakeAirflow) -> None:
    rows, total = listed(airflow, idle_lists.unfinished_runs, ["d", "f", "none"])
    assert {(row["dag_id"], row["state"]) for row in rows} == {(d, s) for d in "df" for s in ("queued", "running")}
    assert total == 4


def test_lists_of_several_dags_request_one_page_of_many(airflow: FakeAirflow) -> None:
    airflow.page_limit = 2
    rows, total = listed(airflow, idle_lists.active_tasks, ["d", "f"])
    assert (len(rows), total) == (2, 2 * len(ACTIVE_TASK_STATES))


def test_paused_dags_are_listed_page_by_page(airflow: FakeAirflow) -> None:
    airflow.dags["g"] = True
    airflow.stale_dags = {"g"}  # its file was removed, but its tasks may go on
    rows, total = listed(airflow, idle_lists.paused_dags, 1)
    assert ([row["dag_id"] for row in rows], total) == (["g"], 2)
