"""Lists of more than one page, which Airflow 2 sends in no particular order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_provider.api import paging
from astro_provider.api.errors import (
    UnexpectedAnswerError,
)
from astro_provider.api.paging import MAX_READINGS
from astro_provider.waits.check import Check
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit import payloads
from tests.unit.api.pages import serve_pages
from tests.unit.scripted_target import (
    ReceivedRequest,
    ScriptedResponse,
    ScriptedTarget,
    json_response,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

TASKS = "dags/d/dagRuns/r/taskInstances"


def serve(
    target: ScriptedTarget, path: str, key: str, *readings: Sequence[Any], total: int | None = None, end_states: int = 0
) -> None:
    """Serve a list whose order changes at each reading; the last order stays."""
    left = list(readings)

    def page(received: ReceivedRequest) -> ScriptedResponse:
        limit, offset = (int(received.query[name][0]) for name in ("limit", "offset"))
        rows = left[0]
        if offset + limit >= (end_states or len(rows)) and len(left) > 1:
            left.pop(0)
        return json_response(target.payloads.collection(key, *rows[offset : offset + limit], total=total or len(rows)))

    target.on("GET", path, page)


def tasks(target: ScriptedTarget, count: int, **states: str) -> list[Any]:
    """Make instances of ``count`` tasks, which have succeeded unless ``states`` names them."""
    ids = [f"t{number}" for number in range(count)]
    return [target.payloads.task_instance(task_id, states.get(task_id, "success")) for task_id in ids]


def client_of(target: ScriptedTarget) -> Any:
    return target.client(api_version=target.api_version)


def test_list_is_read_again_if_a_row_comes_twice_instead_of_another(any_target: ScriptedTarget) -> None:
    rows = tasks(any_target, 150)
    serve(any_target, TASKS, "task_instances", [*rows[:149], rows[0]], rows)
    found = any_target.run(client_of(any_target).list_task_instances("d", "r"))
    assert sorted(task["task_id"] for task in found) == sorted(task["task_id"] for task in rows)
    assert [received.query["offset"] for received in any_target.received] == [["0"], ["100"]] * 2


def test_failed_task_is_found_although_another_row_comes_twice(target_v1: ScriptedTarget) -> None:
    rows = tasks(target_v1, 150, t149="failed")
    serve(target_v1, TASKS, "task_instances", [*rows[:149], rows[0]], rows)
    target_v1.on("GET", "dags/d/dagRuns/r", json_response(target_v1.payloads.dag_run("r")))
    target_v1.on("GET", f"{TASKS}/t149/logs/1", json_response(target_v1.payloads.log()))
    target_v1.on("POST", "dags/~/dagRuns/~/taskInstances/list", json_response({}, 403))
    wait = RunWait("d", EndStates(("success",), ("failed",)), run_id="r", task_ids=[task["task_id"] for task in rows])
    assert target_v1.run(Check(client_of(target_v1), wait).run()).outcome == "failed"


def test_instances_of_a_mapped_task_are_different_rows(any_target: ScriptedTarget) -> None:
    rows = [any_target.payloads.task_instance("t", map_index=number) for number in range(120)]
    serve(any_target, TASKS, "task_instances", rows)
    assert len(any_target.run(client_of(any_target).list_task_instances("d", "r"))) == 120
    assert len(any_target.received) == 2


def test_list_is_complete_if_several_readings_together_have_all_rows(any_target: ScriptedTarget) -> None:
    rows = tasks(any_target, 150)
    each = [[*rows[:number], *rows[number + 1 :], rows[0 if number else 1]] for number in range(MAX_READINGS)]
    serve(any_target, TASKS, "task_instances", *each)
    found = any_target.run(client_of(any_target).list_task_instances("d", "r"))
    assert len({task["task_id"] for task in found}) == len(found) == 150
    assert len(any_target.received) == 2 * MAX_READINGS


def test_list_that_stays_incomplete_is_an_error(any_target: ScriptedTarget) -> None:
    rows = tasks(any_target, 150)
    serve(any_target, TASKS, "task_instances", [*rows[:149], rows[0]])
    with pytest.raises(UnexpectedAnswerError, match=r"^A list of 150 rows was not whole in 5 .* 149 distinct rows"):
        any_target.run(client_of(any_target).list_task_instances("d", "r"))


def test_a_list_that_ends_before_its_total_is_read_again(target: ScriptedTarget) -> None:
    rows = tasks(target, 150)
    serve(target, TASKS, "task_instances", rows[:140], rows, total=150)
    assert len(target.run(client_of(target).list_task_instances("d", "r"))) == 150


def test_list_that_shrinks_while_it_is_read_is_complete(target: ScriptedTarget) -> None:
    pools = [target.payloads.pool(name) for name in ("a", "b")]
    shrunk = target.payloads.collection("pools", total=2)
    target.on(
        "GET", "pools", json_response(target.payloads.collection("pools", *pools, total=3)), json_response(shrunk)
    )
    assert len(target.run(client_of(target).list_pools())) == 2
    assert len(target.received) == 2


def test_limited_list_is_complete_with_as_many_distinct_rows_as_its_limit(target: ScriptedTarget) -> None:
    runs = [target.payloads.dag_run(f"r{number}") for number in range(300)]
    serve(target, "dags/d/dagRuns", "dag_runs", [*runs[:149], *runs[:151]], runs, end_states=150)
    found = target.run(client_of(target).list_dag_runs("d", limit=150))
    assert len({run["dag_run_id"] for run in found}) == len(found) == 150


def test_rows_of_an_unknown_kind_can_be_equal(target: ScriptedTarget) -> None:
    serve(target, "things", "things", [{"same": True}] * 101)
    assert len(target.run(client_of(target).all_pages("things"))["things"]) == 101


@given(st.lists(st.permutations(range(7)), min_size=1, max_size=MAX_READINGS))
def test_list_in_any_order_is_complete_or_an_error(orders: list[list[int]]) -> None:
    """The list can have another order at each page."""
    target = ScriptedTarget("v1")
    rows = [target.payloads.pool(f"p{number}") for number in range(7)]
    calls_received = 0

    def page(received: ReceivedRequest) -> ScriptedResponse:
        nonlocal calls_received
        order = orders[calls_received % len(orders)]
        calls_received += 1
        offset = int(received.query["offset"][0])
        return json_response(
            target.payloads.collection("pools", *[rows[n] for n in order][offset : offset + 3], total=7)
        )

    target.on("GET", "pools", page)
    try:
        found = target.run(client_of(target).list_pools())
    except UnexpectedAnswerError:
        return
    assert {pool["name"] for pool in found} == {pool["name"] for pool in rows}


def test_endless_list_is_an_error(target: ScriptedTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_ROWS", 300)

    def page(received: ReceivedRequest) -> ScriptedResponse:
        offset = int(received.query["offset"][0])
        rows = [target.payloads.task_instance(f"t{offset + number}", "success") for number in range(100)]
        return json_response(target.payloads.collection("task_instances", *rows, total=10**12))

    target.on("GET", TASKS, page)
    with pytest.raises(UnexpectedAnswerError, match="more than 300 rows: the target counts 1000000000000"):
        target.run(client_of(target).list_task_instances("d", "r"))
    assert len(target.received) == 4


def test_empty_first_page_of_a_list_with_rows_is_an_error(target: ScriptedTarget) -> None:
    target.on("GET", "dags", json_response(payloads.v2.collection("dags", total=500)))
    with pytest.raises(UnexpectedAnswerError, match="A list of 500 rows was not whole"):
        target.run(target.client().list_dags())


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
def test_pages_are_read_until_the_list_is_complete(
    any_target: ScriptedTarget, count: int, at_most: int, limit: int | None, requests: list[int]
) -> None:
    runs = [any_target.payloads.dag_run(f"r{i}") for i in range(count)]
    serve_pages(any_target, "dags/d/dagRuns", "dag_runs", runs, at_most=at_most)
    filters = {} if limit is None else {"limit": limit}
    found = any_target.run(client_of(any_target).list_dag_runs("d", state=["success"], **filters))
    assert [run["dag_run_id"] for run in found] == [f"r{i}" for i in range(count)][:limit]
    assert [int(received.query["limit"][0]) for received in any_target.received] == requests
    assert {tuple(received.query["state"]) for received in any_target.received} == {("success",)}


def test_limit_can_be_rendered_text(target: ScriptedTarget) -> None:
    serve_pages(target, "dags", "dags", [payloads.v2.dag(name) for name in "abc"])
    assert len(target.run(client_of(target).list_dags(limit="2"))) == 2


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_of_zero_sends_no_request(target: ScriptedTarget, limit: int) -> None:
    assert target.run(client_of(target).list_dags(limit=limit)) == []
    assert target.calls_received == []


def test_collection_without_a_total_is_complete_after_one_page(target: ScriptedTarget) -> None:
    serve_pages(target, "pools", "pools", [payloads.v2.pool("a")], with_total=False)
    assert len(target.run(client_of(target).list_pools())) == 1
    assert len(target.received) == 1
