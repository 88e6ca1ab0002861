"""Which dags might be idle, and how many lists it takes to find out."""

from __future__ import annotations

import pytest

from astro_provider.api.errors import TargetUnavailableError
from astro_provider.triggers.watcher.idle_round import IdleRound
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import json_response


@pytest.fixture(params=["v1", "v2"])
def airflow(request: pytest.FixtureRequest) -> FakeAirflow:
    airflow = FakeAirflow(request.param)
    airflow.dags = {}
    return airflow


def has_dags(airflow: FakeAirflow, number: int, name: str, *, paused: bool, run: str, task: str | None) -> list[str]:
    """Add dags with one run, in this state, that has one task, in this state."""
    names = [f"{name}-{each:04}" for each in range(number)]
    for dag_id in names:
        airflow.dags[dag_id] = paused
        airflow.has_run("r", run, dag_id=dag_id)
        airflow.has_task("t", task, run_id="r", dag_id=dag_id)
    return names


def play(airflow: FakeAirflow, dag_ids: list[str]) -> tuple[set[str], int]:
    """Play a round to its end; return the dags that might be idle, and the number of requests."""
    client, found = airflow.client(api_version=airflow.api_version), set()
    idle_round = IdleRound(dag_ids)
    while not idle_round.is_over:
        found |= airflow.run(idle_round.next_list(client))
    return found, len(airflow.received)


def test_dags_are_sorted_by_tasks_runs_and_pause(airflow: FakeAirflow) -> None:
    busy = has_dags(airflow, 2, "busy", paused=False, run="running", task="running")
    has_dags(airflow, 2, "paused-busy", paused=True, run="running", task="deferred")
    has_dags(airflow, 2, "between-tasks", paused=False, run="running", task="scheduled")
    has_dags(airflow, 2, "queued", paused=False, run="queued", task=None)
    idle = has_dags(airflow, 2, "idle", paused=False, run="success", task="success")
    paused = has_dags(airflow, 2, "paused", paused=True, run="running", task="scheduled")
    assert play(airflow, list(airflow.dags)) == ({*idle, *paused}, 3)
    airflow.received.clear()
    assert play(airflow, busy) == (set(), 1)
    airflow.received.clear()
    assert play(airflow, idle) == (set(idle), 2)


def test_round_of_no_dags_is_over() -> None:
    assert IdleRound(()).is_over


@pytest.mark.parametrize("page_limit", [100, 50])
def test_thousand_busy_dags_take_one_request_per_page_of_rows(airflow: FakeAirflow, page_limit: int) -> None:
    airflow.page_limit = page_limit
    busy = has_dags(airflow, 1000, "busy", paused=False, run="running", task="running")
    assert play(airflow, busy) == (set(), 1000 // page_limit)


def test_dag_with_many_tasks_takes_one_request(airflow: FakeAirflow) -> None:
    (wide,) = has_dags(airflow, 1, "wide", paused=False, run="running", task="queued")
    for index in range(500):
        airflow.has_task("mapped", "running", run_id="r", dag_id=wide, map_index=index)
    assert play(airflow, [wide]) == (set(), 1)


def test_other_dags_are_asked_for_again_without_the_dag_that_fills_a_page(airflow: FakeAirflow) -> None:
    (wide,) = has_dags(airflow, 1, "a-wide", paused=False, run="running", task="queued")
    for index in range(500):
        airflow.has_task("mapped", "running", run_id="r", dag_id=wide, map_index=index)
    busy = has_dags(airflow, 2, "busy", paused=False, run="running", task="running")
    idle = has_dags(airflow, 2, "idle", paused=False, run="success", task="success")
    assert play(airflow, [wide, *busy, *idle]) == (set(idle), 3)
    assert set(airflow.received[1].json["dag_ids"]) == {*busy, *idle}


def test_thousand_unfinished_runs_of_idle_tasks(airflow: FakeAirflow) -> None:
    waiting = has_dags(airflow, 1000, "waiting", paused=False, run="running", task="up_for_retry")
    paused = has_dags(airflow, 120, "paused", paused=True, run="running", task="up_for_retry")
    found, count = play(airflow, [*waiting, *paused])
    assert found == set(paused)
    assert count == 1 + 12 + 2  # tasks, pages of runs, pages of paused dags


def test_list_that_failed_is_requested_again(airflow: FakeAirflow) -> None:
    idle = has_dags(airflow, 1, "idle", paused=False, run="success", task="success")
    client, idle_round = airflow.client(api_version=airflow.api_version), IdleRound(idle)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(airflow, "stored_response", lambda _: json_response({}, 503))
        with pytest.raises(TargetUnavailableError):
            airflow.run(idle_round.next_list(client))
    assert airflow.run(idle_round.next_list(client)) == set()
    assert airflow.run(idle_round.next_list(client)) == set(idle)
    assert idle_round.is_over


@pytest.mark.parametrize("rows", [0, 1])
def test_rows_of_other_dags_end_a_round(airflow: FakeAirflow, rows: int) -> None:
    task = airflow.payloads.task_instance("t", "running", dag_id="other")
    body = airflow.payloads.collection("task_instances", *[task] * rows, total=500)
    airflow.on("POST", "dags/~/dagRuns/~/taskInstances/list", json_response(body))
    assert play(airflow, ["d"]) == ({"d"}, 2)
