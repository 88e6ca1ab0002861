"""When a run that must exist counts as deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.api_versions import API_VERSIONS
from astro_provider.api.errors import NotAirflowError, NotFoundError
from astro_provider.api.memory import Memory
from astro_provider.waits.check import Check
from astro_provider.waits.loop import watch
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import json_response

if TYPE_CHECKING:
    from astro_provider.waits.wait import Verdict
    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse

RUN = "dags/d/dagRuns/theirs"
END_STATES = EndStates(["success"], ["failed"])
NO_ROUTE = json_response({"error": "no route"}, 404)


@pytest.fixture(params=["v1", "v2"])
def airflow(request: pytest.FixtureRequest) -> FakeAirflow:
    target = FakeAirflow(request.param)
    target.has_run("theirs", "running", end_date=None)
    return target


def check(target: FakeAirflow, **options: Any) -> Verdict:
    wait = RunWait("d", END_STATES, **{"run_id": "theirs", "must_exist": True, **options})
    return target.run(Check(target.client(memory=Memory(API_VERSIONS[target.api_version])), wait).run())


def watch_run(target: FakeAirflow, deadline: float | None = None, **options: Any) -> tuple[Verdict, list[str]]:
    wait = RunWait("d", END_STATES, run_id="theirs", must_exist=True, **options)
    client = target.client(memory=Memory(API_VERSIONS[target.api_version]))
    warnings: list[str] = []
    flow = watch(client, wait, poke_interval=5, deadline=deadline, on_change=lambda _: None, warn=warnings.append)
    return target.run(flow), warnings


@pytest.mark.parametrize("task_ids", [(), ("load",)], ids=["run", "task"])
def test_single_404_is_tolerated(airflow: FakeAirflow, task_ids: tuple[str, ...]) -> None:
    airflow.on("GET", RUN, NO_ROUTE, airflow.stored_response)
    assert watch_run(airflow, deadline=airflow.clock.now + 12, task_ids=task_ids)[0].outcome == "pending"
    assert sum(airflow.pauses) == 12


def test_second_404_of_airflow_ends_the_wait(airflow: FakeAirflow) -> None:
    airflow.delete_run("theirs")
    with pytest.raises(NotFoundError, match=r"^Deleted: dag 'd', its run is gone in .*\nRun: theirs$"):
        watch_run(airflow)
    assert airflow.calls_received.count(f"GET {airflow.api(RUN)}") == 2
    assert airflow.pauses == [1]


def test_gateway_that_answers_404_to_every_request_is_not_airflow(airflow: FakeAirflow) -> None:
    airflow.on("GET", RUN, NO_ROUTE)
    airflow.on("GET", "version", NO_ROUTE)
    with pytest.raises(NotAirflowError, match="answers 404 to everything"):
        check(airflow)


def test_wait_on_a_worker_continues_after_the_404_of_a_gateway(airflow: FakeAirflow) -> None:
    started_at = airflow.clock.now

    def gateway_at_first(received: ReceivedRequest) -> ScriptedResponse:
        return NO_ROUTE if airflow.clock.now < started_at + 120 else airflow.stored_response(received)

    airflow.has_run("theirs", "running", "success", end_date=None)
    for path in (RUN, "version"):
        airflow.on("GET", path, gateway_at_first)
    verdict, warnings = watch_run(airflow)
    assert (verdict.outcome, len(warnings)) == ("success", 2)


def test_check_of_a_run_that_need_not_exist_makes_one_request(airflow: FakeAirflow) -> None:
    airflow.delete_run("theirs")
    wait = RunWait("d", END_STATES, run_id="theirs")
    client = airflow.client(memory=Memory(API_VERSIONS[airflow.api_version]))
    assert airflow.run(Check(client, wait).run()).outcome == "pending"
    assert (len(airflow.received), airflow.pauses) == (1, [])
