"""The flows of the client: collections, triggers, logs."""

from __future__ import annotations

from typing import Any

import pytest

from astro_provider.api.errors import (
    UnexpectedAnswerError,
)
from tests.unit import payloads
from tests.unit.api.pages import serve_pages
from tests.unit.scripted_target import ScriptedTarget, json_response

RUN = "dags/d/dagRuns/r"


TASKS = f"{RUN}/taskInstances"


def client_of(target: ScriptedTarget) -> Any:
    return target.client(api_version=target.api_version)


def test_dags_are_ordered_by_id(target: ScriptedTarget) -> None:
    serve_pages(target, "dags", "dags", [payloads.v2.dag("a")])
    target.run(client_of(target).list_dags(tags=["x", "y"]))
    assert target.received[0].query == {"order_by": ["dag_id"], "tags": ["x", "y"], "limit": ["100"], "offset": ["0"]}


def test_all_pages_reads_any_collection(any_target: ScriptedTarget) -> None:
    serve_pages(any_target, "assets", "assets", [{"id": i} for i in range(7)], at_most=3)
    found = any_target.run(client_of(any_target).all_pages("assets", params={"name": "x"}, headers={"X-A": "1"}))
    assert found == {"assets": [{"id": i} for i in range(7)], "total_entries": 7}
    assert [
        (received.query["offset"], received.query["name"], received.headers["x-a"]) for received in any_target.received
    ] == [([offset], ["x"], "1") for offset in ("0", "3", "6")]


def test_all_pages_refuses_a_response_that_is_not_a_collection(target: ScriptedTarget) -> None:
    target.on("GET", "version", json_response(payloads.v2.version()))
    with pytest.raises(UnexpectedAnswerError, match="expected a collection with total_entries, but got"):
        target.run(client_of(target).all_pages("version"))


@pytest.mark.parametrize("none", [None, "", "None"])
@pytest.mark.parametrize(("api_version", "sent"), [("v1", {}), ("v2", {"logical_date": None})])
def test_no_logical_date_is_accepted_in_every_form(api_version: str, sent: dict[str, Any], none: str | None) -> None:
    target = ScriptedTarget(api_version)
    target.on("POST", "dags/d/dagRuns", json_response(target.payloads.dag_run()))
    target.run(client_of(target).trigger_dag_run("d", logical_date=none))
    assert target.received[0].json == sent


def test_trigger_sends_all_parameters(target: ScriptedTarget) -> None:
    target.on("POST", "dags/d/dagRuns", json_response(payloads.v2.dag_run()))
    dates = ("logical_date", "data_interval_start", "data_interval_end", "run_after")
    given: dict[str, Any] = dict.fromkeys(dates, "2026-01-31T06:00:00")
    more = {"conf": {"a": [1, None]}, "note": "n", "partition_key": "p"}
    target.run(client_of(target).trigger_dag_run("d", run_id="r", **given, **more))
    written = dict.fromkeys(dates, "2026-01-31T06:00:00+00:00")
    assert target.received[0].json == {"dag_run_id": "r", **written, **more}


@pytest.mark.parametrize("conf", [{"a": object()}, {"a": {1, 2}}, {"a": float("nan")}, {(1, 2): 3}])
def test_conf_that_is_not_json_is_refused_before_any_request(target: ScriptedTarget, conf: dict[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"^conf must be JSON: "):
        target.run(client_of(target).trigger_dag_run("d", conf=conf))
    assert target.calls_received == []


def test_invalid_date_is_refused_before_any_request(target: ScriptedTarget) -> None:
    with pytest.raises(ValueError, match=r"^run_after: 'soon' is no ISO 8601 date"):
        target.run(client_of(target).trigger_dag_run("d", run_after="soon"))
    assert target.calls_received == []


@pytest.mark.parametrize(("map_index", "instance"), [(-1, "t"), (2, "t/2")])
def test_log_is_of_the_latest_try_by_default(any_target: ScriptedTarget, map_index: int, instance: str) -> None:
    any_target.on("GET", f"{TASKS}/{instance}", json_response(any_target.payloads.task_instance("t", try_number=4)))
    for number in (4, 1):
        any_target.on("GET", f"{TASKS}/t/logs/{number}", json_response(any_target.payloads.log()))
    client = client_of(any_target)
    newest = any_target.run(client.get_task_log("d", "r", "t", map_index=map_index))
    any_target.run(client.get_task_log("d", "r", "t", map_index=map_index, try_number=1))
    assert "Starting" in newest[0]["event"] + newest[1]["event"]
    assert [line.rpartition("/")[2] for line in any_target.calls_received] == [instance.rpartition("/")[2], "4", "1"]
    assert any_target.received[1].query == {"full_content": ["true"], "map_index": [str(map_index)]}
