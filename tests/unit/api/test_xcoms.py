"""The XComs of a task: one value, or the values of a mapped task."""

from __future__ import annotations

from typing import Any

import pytest

from astro_provider.api.errors import InvalidRequestError, NotFoundError
from astro_provider.api.xcoms import TaskXComs
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import json_response

TASK = "dags/d/dagRuns/r/taskInstances/t"


@pytest.fixture(params=["v1", "v2"])
def target(request: pytest.FixtureRequest) -> FakeAirflow:
    """A target whose API version is known."""
    target = FakeAirflow(request.param)
    target.has_run("r", "success")
    return target


def client(target: FakeAirflow) -> Any:
    return target.client(api_version=target.api_version)


def get(target: FakeAirflow, map_index: int | None = None) -> Any:
    return target.run(TaskXComs(client(target), "d", "r", "t", "return_value").get(map_index))


def called(target: FakeAirflow) -> list[str]:
    return [call.partition("/taskInstances/")[2] for call in target.calls_received]


@pytest.mark.parametrize("value", [{"a": [1, None]}, "text", 7, None, [], False])
def test_value_takes_one_request(target: FakeAirflow, value: Any) -> None:
    target.has_xcom("t", value)
    assert get(target) == value
    assert called(target) == ["t/xcomEntries/return_value"]


def test_mapped_task_gives_a_list_in_order_of_map_index(target: FakeAirflow) -> None:
    target.page_limit = 5
    for index in (11, 2, 10, 9, 0, 3):
        target.has_xcom("t", {"n": index}, map_index=index)
    target.has_xcom("t", "another key", key="k", map_index=1)
    target.has_xcom("other", "another task", map_index=1)
    assert get(target) == [{"n": index} for index in (0, 2, 3, 9, 10, 11)]
    assert called(target)[:3] == ["t/xcomEntries/return_value", "t/xcomEntries", "t/xcomEntries"]
    assert len(called(target)) == 9


def test_null_is_a_value_of_a_mapped_task(target: FakeAirflow) -> None:
    target.has_xcom("t", None, map_index=0)
    assert get(target) == [None]


def test_mapped_task_without_xcoms_gives_an_empty_list(target: FakeAirflow) -> None:
    target.mapped_tasks.add("t")
    assert get(target) == []
    assert called(target)[-1] == "t/listMapped"
    assert target.received[-1].query["limit"] == ["1"]


def test_one_instance_of_a_mapped_task(target: FakeAirflow) -> None:
    target.has_xcom("t", "third", map_index=3)
    assert get(target, 3) == "third"
    assert called(target) == ["t/xcomEntries/return_value"]
    with pytest.raises(NotFoundError, match="has no XCom 'return_value' of task 't' of dag run 'r' of dag 'd'"):
        get(target, 4)


def test_missing_xcom_of_a_task_that_is_not_mapped_is_an_error(target: FakeAirflow) -> None:
    target.has_task("t", "success", run_id="r")
    with pytest.raises(NotFoundError, match="has no XCom 'return_value' of task 't' of dag run 'r' of dag 'd'"):
        get(target)


def test_missing_xcom_of_a_missing_dag_names_similar_dags(target: FakeAirflow) -> None:
    target.dags = {"sales": False}
    with pytest.raises(NotFoundError, match="It has 'sales'"):
        target.run(client(target).get_xcom("sale", "r", "t"))


UNKNOWN = {"title": "Bad Request", "status": 400, "detail": "Extra query parameter(s) stringify not in spec"}


def test_airflow_before_2_10_gives_text() -> None:
    """The response to a parameter that it does not know was measured with 2.11.2."""
    target = FakeAirflow("v1")
    known = target.payloads.xcom("{'a': 1}")
    answers = [json_response(UNKNOWN, 400), json_response(known)]
    target.on("GET", f"{TASK}/xcomEntries/return_value", *answers)
    xcoms = TaskXComs(client(target), "d", "r", "t", "return_value")
    assert target.run(xcoms.get(None)) == "{'a': 1}"
    assert xcoms.is_text
    assert [received.query for received in target.received] == [{"stringify": ["false"]}, {}]
    assert target.run(xcoms.get(2)) == "{'a': 1}"
    assert target.received[-1].query == {"map_index": ["2"]}


def test_other_refusal_is_an_error(target: FakeAirflow) -> None:
    target.on("GET", f"{TASK}/xcomEntries/return_value", json_response(target.payloads.error(400, "no"), 400))
    with pytest.raises(InvalidRequestError):
        get(target)
    assert len(target.received) == 1
