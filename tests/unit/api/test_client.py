"""Flows of more than one request: pages, logs, waiting."""

from __future__ import annotations

from typing import Any

import pytest

from astro_provider.api.errors import (
    AccessDeniedError,
    AstroError,
    NotFoundError,
    TransportError,
    UnexpectedAnswerError,
    WaitTimeoutError,
)
from astro_provider.waits.loop import wait_for_dag_run
from tests.unit import payloads
from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse, ScriptedTarget, json_response

RUN = "dags/d/dagRuns/r"
TASKS = f"{RUN}/taskInstances"


def client_of(target: ScriptedTarget) -> Any:
    return target.client(api_version=target.api_version)


def pages(
    target: ScriptedTarget, path: str, key: str, items: list[Any], *, at_most: int = 100, told: bool = True
) -> None:
    """Serve a collection as Airflow does: pages of at most so many, whatever is asked for."""

    def serve(received: ReceivedRequest) -> ScriptedResponse:
        limit, offset = (int(received.query[name][0]) for name in ("limit", "offset"))
        body = target.payloads.collection(key, *items[offset : offset + min(limit, at_most)], total=len(items))
        if not told:
            del body["total_entries"]
        return json_response(body)

    target.on("GET", path, serve)


@pytest.mark.parametrize(
    ("count", "at_most", "limit", "requests"),
    [
        (0, 100, None, [100]),
        (100, 100, None, [100]),
        (101, 100, None, [100, 100]),
        (7, 3, None, [100, 100, 100]),
        (250, 100, 120, [100, 20]),
        (250, 100, 100, [100]),
        (250, 100, 1, [1]),
        (5, 100, 7, [7]),
        (9, 3, 5, [5, 2]),
    ],
)
def test_pages_are_turned_until_all_is_there(
    any_target: ScriptedTarget, count: int, at_most: int, limit: int | None, requests: list[int]
) -> None:
    runs = [any_target.payloads.dag_run(f"r{i}") for i in range(count)]
    pages(any_target, "dags/d/dagRuns", "dag_runs", runs, at_most=at_most)
    filters = {} if limit is None else {"limit": limit}
    found = any_target.run(client_of(any_target).list_dag_runs("d", state=["success"], **filters))
    assert [run["dag_run_id"] for run in found] == [f"r{i}" for i in range(count)][:limit]
    assert [int(received.query["limit"][0]) for received in any_target.received] == requests
    assert {tuple(received.query["state"]) for received in any_target.received} == {("success",)}


def test_a_limit_may_come_out_of_a_template(target: ScriptedTarget) -> None:
    pages(target, "dags", "dags", [payloads.v2.dag(name) for name in "abc"])
    assert len(target.run(client_of(target).list_dags(limit="2"))) == 2


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing_asks_nothing(target: ScriptedTarget, limit: int) -> None:
    assert target.run(client_of(target).list_dags(limit=limit)) == []
    assert target.calls_received == []


def test_a_collection_that_does_not_say_how_many_is_taken_for_whole(target: ScriptedTarget) -> None:
    pages(target, "pools", "pools", [payloads.v2.pool("a")], told=False)
    assert len(target.run(client_of(target).list_pools())) == 1
    assert len(target.received) == 1


def test_dags_come_by_id(target: ScriptedTarget) -> None:
    pages(target, "dags", "dags", [payloads.v2.dag("a")])
    target.run(client_of(target).list_dags(tags=["x", "y"]))
    assert target.received[0].query == {"order_by": ["dag_id"], "tags": ["x", "y"], "limit": ["100"], "offset": ["0"]}


def test_all_pages_of_any_collection(any_target: ScriptedTarget) -> None:
    pages(any_target, "assets", "assets", [{"id": i} for i in range(7)], at_most=3)
    found = any_target.run(client_of(any_target).all_pages("assets", params={"name": "x"}, headers={"X-A": "1"}))
    assert found == {"assets": [{"id": i} for i in range(7)], "total_entries": 7}
    assert [
        (received.query["offset"], received.query["name"], received.headers["x-a"]) for received in any_target.received
    ] == [([offset], ["x"], "1") for offset in ("0", "3", "6")]


def test_all_pages_of_what_is_no_collection(target: ScriptedTarget) -> None:
    target.on("GET", "version", json_response(payloads.v2.version()))
    with pytest.raises(UnexpectedAnswerError, match="expected a collection with total_entries, but got"):
        target.run(client_of(target).all_pages("version"))


# --- trigger


@pytest.mark.parametrize("none", [None, "", "None"])
@pytest.mark.parametrize(("api_version", "sent"), [("v1", {}), ("v2", {"logical_date": None})])
def test_no_logical_date_in_every_form(api_version: str, sent: dict[str, Any], none: str | None) -> None:
    target = ScriptedTarget(api_version)
    target.on("POST", "dags/d/dagRuns", json_response(target.payloads.dag_run()))
    target.run(client_of(target).trigger_dag_run("d", logical_date=none))
    assert target.received[0].json == sent


def test_a_trigger_with_everything(target: ScriptedTarget) -> None:
    target.on("POST", "dags/d/dagRuns", json_response(payloads.v2.dag_run()))
    dates = ("logical_date", "data_interval_start", "data_interval_end", "run_after")
    given: dict[str, Any] = dict.fromkeys(dates, "2026-01-31T06:00:00")
    more = {"conf": {"a": [1, None]}, "note": "n", "partition_key": "p"}
    target.run(client_of(target).trigger_dag_run("d", run_id="r", **given, **more))
    written = dict.fromkeys(dates, "2026-01-31T06:00:00+00:00")
    assert target.received[0].json == {"dag_run_id": "r", **written, **more}


@pytest.mark.parametrize("conf", [{"a": object()}, {"a": {1, 2}}, {"a": float("nan")}, {(1, 2): 3}])
def test_a_conf_that_is_no_json_is_refused_before_anything_is_asked(
    target: ScriptedTarget, conf: dict[Any, Any]
) -> None:
    with pytest.raises(ValueError, match=r"^conf must be JSON: "):
        target.run(client_of(target).trigger_dag_run("d", conf=conf))
    assert target.calls_received == []


def test_a_date_that_is_none_is_refused_before_anything_is_asked(target: ScriptedTarget) -> None:
    with pytest.raises(ValueError, match=r"^run_after: 'soon' is no ISO 8601 date"):
        target.run(client_of(target).trigger_dag_run("d", run_after="soon"))
    assert target.calls_received == []


# --- logs


@pytest.mark.parametrize(("map_index", "instance"), [(-1, "t"), (2, "t/2")])
def test_a_log_is_of_the_newest_try_unless_told(any_target: ScriptedTarget, map_index: int, instance: str) -> None:
    any_target.on("GET", f"{TASKS}/{instance}", json_response(any_target.payloads.task_instance("t", try_number=4)))
    for number in (4, 1):
        any_target.on("GET", f"{TASKS}/t/logs/{number}", json_response(any_target.payloads.log()))
    client = client_of(any_target)
    newest = any_target.run(client.get_task_log("d", "r", "t", map_index=map_index))
    any_target.run(client.get_task_log("d", "r", "t", map_index=map_index, try_number=1))
    assert "Starting" in newest[0]["event"] + newest[1]["event"]
    assert [line.rpartition("/")[2] for line in any_target.calls_received] == [instance.rpartition("/")[2], "4", "1"]
    assert any_target.received[1].query == {"full_content": ["true"], "map_index": [str(map_index)]}


# --- waiting


def wait(target: ScriptedTarget, *states: Any, timeout: float | None = None, poke_interval: float = 5) -> Any:
    said = [json_response(target.payloads.dag_run("r", state)) if isinstance(state, str) else state for state in states]
    target.on("GET", RUN, *said)
    changes: list[str] = []
    troubles: list[AstroError] = []
    flow = wait_for_dag_run(
        client_of(target),
        "d",
        "r",
        poke_interval=poke_interval,
        timeout=timeout,
        on_change=lambda run: changes.append(run["state"]),
        on_tolerated_error=troubles.append,
    )
    return target.run(flow), changes, troubles


@pytest.mark.parametrize("end", ["success", "failed"])
def test_a_run_is_waited_for_however_it_ends(any_target: ScriptedTarget, end: str) -> None:
    run, changes, troubles = wait(any_target, "queued", "running", "running", end)
    assert (run["state"], changes, troubles) == (end, ["queued", "running", end], [])
    assert any_target.pauses == [5, 5, 5]


def test_a_wait_survives_what_passes(target: ScriptedTarget) -> None:
    broken = TransportError("broken off")
    run, changes, troubles = wait(target, "running", *[broken] * 7, "success")
    assert (run["state"], changes, troubles) == ("success", ["running", "success"], [broken])


@pytest.mark.parametrize(
    ("states", "error"),
    [
        ([json_response({}, 401)], AccessDeniedError),
        (["running", json_response({}, 404)], NotFoundError),
    ],
)
def test_a_wait_ends_with_what_does_not_pass(
    target: ScriptedTarget, states: list[Any], error: type[AstroError]
) -> None:
    with pytest.raises(error):
        wait(target, *states)


def test_a_wait_that_is_too_long_says_so(any_target: ScriptedTarget) -> None:
    with pytest.raises(
        WaitTimeoutError, match=r"^Dag run 'r' of dag 'd' in .* is running after 12 seconds of waiting"
    ) as caught:
        wait(any_target, "queued", "running", timeout=12)
    assert any_target.pauses == [5, 5, 2]
    assert str(caught.value).endswith(f"See {client_of(any_target).run_url('d', 'r')}")
