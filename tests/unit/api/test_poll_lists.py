from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.api import poll_lists
from tests.unit import payloads
from tests.unit.scripted_target import json_response

if TYPE_CHECKING:
    from tests.unit.scripted_target import ScriptedTarget


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
