from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.api import poll_lists
from tests.unit import payloads
from tests.unit.scripted_target import json_response

if TYPE_CHECKING:
    from tests.unit.scripted_target import ScriptedResponse, ScriptedTarget


@pytest.mark.parametrize("by_dag", [False, True], ids=["across dags", "of a dag"])
def test_finished_runs_are_filtered_by_end_date_only_on_airflow_2_which_may_lack_a_filter_by_state(
    target_v1: ScriptedTarget, by_dag: bool
) -> None:
    answer = json_response(target_v1.payloads.collection("dag_runs", target_v1.payloads.dag_run("r", "success")))
    for method, path in (("POST", "dags/~/dagRuns/list"), ("GET", "dags/d/dagRuns")):
        target_v1.on(method, path, answer)
    client = target_v1.client(api_version="v1")
    dates = (payloads.DATE, payloads.DATE)
    (run,) = target_v1.run(
        poll_lists.finished_runs_of_dag(client, "d", *dates)
        if by_dag
        else poll_lists.finished_runs(client, ["d"], *dates)
    )
    (received,) = target_v1.received
    calls_received = set(received.query if by_dag else received.json)
    assert (run["dag_run_id"], calls_received & {"end_date_gte", "state", "states"}) == ("r", {"end_date_gte"})


def test_oldest_unfinished_runs_are_read_up_to_the_limit_although_the_list_changes(any_target: ScriptedTarget) -> None:
    def page(*names: str) -> ScriptedResponse:
        rows = [any_target.payloads.dag_run(name, "queued") for name in names]
        return json_response(any_target.payloads.collection("dag_runs", *rows, total=500))

    # The first run of the list has finished between the pages, so that a run is on none of them, and another on both.
    first, second = [f"run-{each}" for each in range(100)], [f"run-{each}" for each in range(99, 140)]
    any_target.on("POST", "dags/~/dagRuns/list", page(*first), page(*second))
    runs = any_target.run(poll_lists.oldest_unfinished_runs(any_target.client(), ["d"], 141))
    assert [run["dag_run_id"] for run in runs] == first + second
    bodies = [each.json for each in any_target.received if each.path.endswith("/list")][-2:]
    assert [(body["page_offset"], body["page_limit"], body["order_by"]) for body in bodies] == [
        (0, 100, "id"),
        (100, 41, "id"),
    ]
    assert {tuple(sorted(body["states"])) for body in bodies} == {("queued", "running")}
