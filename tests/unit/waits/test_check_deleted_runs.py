"""When a run that was there is taken for deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.api_versions import API_VERSIONS
from astro_provider.api.errors import NotAirflowError, NotFoundError
from astro_provider.api.memory import Memory
from astro_provider.waits.check import Check
from astro_provider.waits.loop import watch as watching
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import json_response

if TYPE_CHECKING:
    from astro_provider.waits.wait import Verdict
    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse

RUN = "dags/d/dagRuns/theirs"
END_STATES = EndStates(["success"], ["failed"])
OF_GATEWAY = json_response({"error": "no route"}, 404)


@pytest.fixture(params=["v1", "v2"])
def played(request: pytest.FixtureRequest) -> FakeAirflow:
    target = FakeAirflow(request.param)
    target.has_run("theirs", "running", end_date=None)
    return target


def check(target: FakeAirflow, **what: Any) -> Verdict:
    wait = RunWait("d", END_STATES, **{"run_id": "theirs", "must_exist": True, **what})
    return target.run(Check(target.client(memory=Memory(API_VERSIONS[target.api_version])), wait).run())


def watch(target: FakeAirflow, deadline: float | None = None, **what: Any) -> tuple[Verdict, list[str]]:
    wait = RunWait("d", END_STATES, run_id="theirs", must_exist=True, **what)
    client = target.client(memory=Memory(API_VERSIONS[target.api_version]))
    warned: list[str] = []
    flow = watching(client, wait, poke_interval=5, deadline=deadline, on_change=lambda _: None, warn=warned.append)
    return target.run(flow), warned


@pytest.mark.parametrize("task_ids", [(), ("load",)], ids=["run", "task"])
def test_one_404_is_not_believed(played: FakeAirflow, task_ids: tuple[str, ...]) -> None:
    played.on("GET", RUN, OF_GATEWAY, played.stored_response)
    assert watch(played, deadline=played.clock.now + 12, task_ids=task_ids)[0].outcome == "pending"
    assert played.pauses == [5, 5, 2]


def test_a_404_that_airflow_repeats_is(played: FakeAirflow) -> None:
    played.delete_run("theirs")
    with pytest.raises(NotFoundError, match="has no run 'theirs' of dag 'd' any more: it was deleted"):
        watch(played)
    assert played.calls_received.count(f"GET {played.api(RUN)}") == 2
    assert played.pauses == [5]


def test_what_answers_404_to_everything_is_no_airflow(played: FakeAirflow) -> None:
    played.on("GET", RUN, OF_GATEWAY)
    played.on("GET", "version", OF_GATEWAY)
    with pytest.raises(NotAirflowError, match="answers 404 to everything"):
        check(played)


def test_a_wait_on_a_worker_goes_on_after_a_gateway_s_404(played: FakeAirflow) -> None:
    began = played.clock.now

    def gateway(received: ReceivedRequest) -> ScriptedResponse:
        return OF_GATEWAY if played.clock.now < began + 120 else played.stored_response(received)

    played.has_run("theirs", "running", "success", end_date=None)
    for path in (RUN, "version"):
        played.on("GET", path, gateway)
    verdict, warned = watch(played)
    assert (verdict.outcome, len(warned)) == ("success", 1)


def test_a_run_that_need_not_be_there_is_waited_for_without_a_second_request(played: FakeAirflow) -> None:
    played.delete_run("theirs")
    wait = RunWait("d", END_STATES, run_id="theirs")
    client = played.client(memory=Memory(API_VERSIONS[played.api_version]))
    assert played.run(Check(client, wait).run()).outcome == "pending"
    assert (len(played.received), played.pauses) == (1, [])
