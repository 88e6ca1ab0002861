"""The result of a dag run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from astro_provider.api.errors import ResultError, TransportError
from astro_provider.api.results import MAX_RESULT_BYTES, MAX_RESULT_RESPONSE_BYTES, ResultRequest, read_result
from tests.unit.api.test_xcoms import TASK, UNKNOWN, client
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import ScriptedResponse, json_response

DATETIME = {
    "v1": "datetime.datetime@version=2(timestamp=946684800.0,tz=(UTC,pendulum.tz.timezone.FixedTimezone,1,True))",
    "v2": {
        "__classname__": "datetime.datetime",
        "__version__": 2,
        "__data__": {"timestamp": 946684800.0, "tz": {"__classname__": "builtins.tuple", "__data__": ["UTC"]}},
    },
}
"""As 2.11.2 and 3.3.2 have represented it."""


@pytest.fixture(params=["v1", "v2"])
def target(request: pytest.FixtureRequest) -> FakeAirflow:
    target = FakeAirflow(request.param)
    target.has_run("r", "success")
    return target


def result(target: FakeAirflow, task_id: Any = "t", key: str = "return_value") -> Any:
    run = target.runs["r"]
    return target.run(read_result(client(target), run, ResultRequest(task_id, key)))  # type: ignore[arg-type]


def error(target: FakeAirflow, task_id: Any = "t") -> str:
    with pytest.raises(ResultError) as caught:
        result(target, task_id)
    assert not caught.value.retryable
    return str(caught.value)


def has_pages(target: FakeAirflow) -> None:
    for task_id in (f"task_{number:03}" for number in range(120)):
        target.has_xcom(task_id, 1)


@pytest.mark.parametrize(
    "value", [{"a": [1, 0.5, None, True]}, "text", "", 7, None, [], '{"a": 1}', "[1, 2]", "(see", "{x"]
)
def test_value_keeps_its_types(target: FakeAirflow, value: Any) -> None:
    target.has_xcom("t", value)
    assert result(target) == value
    assert len(target.received) == 1


def test_several_tasks_give_a_dict(target: FakeAirflow) -> None:
    target.has_xcom("t", 1, key="k")
    for index in (1, 0):
        target.has_xcom("mapped", {"index": index}, key="k", map_index=index)
    target.mapped_tasks.add("none")
    found = result(target, ["mapped", "t", "none"], key="k")
    assert found == {"mapped": [{"index": 0}, {"index": 1}], "t": 1, "none": []}
    assert result(target, ["t"], key="k") == {"t": 1}


def test_missing_value_names_the_tasks_that_have_one(target: FakeAirflow) -> None:
    target.has_xcom("report", 1)
    target.has_xcom("parts", 1, map_index=0)
    target.has_xcom("parts", 1, map_index=1)
    target.has_xcom("another key", 1, key="k")
    message = error(target, ["report", "nowhere"])
    assert message.splitlines()[0].startswith("No result: dag 'd' in ")
    assert "XCom 'return_value' of task 'nowhere': it does not exist" in message
    assert "Tasks of the run that have one: 'parts', 'report'.\n" in message
    assert message.splitlines()[-1].strip() == client(target).run_url("d", "r")


def test_missing_value_of_a_run_without_any(target: FakeAirflow) -> None:
    assert "No task of the run has one." in error(target)


def test_missing_value_names_a_few_of_many_tasks(target: FakeAirflow) -> None:
    has_pages(target)
    message = error(target)
    assert "'task_008', 'task_009' and 110 more." in message
    assert "task_010" not in message


def test_values_that_json_does_not_have_are_errors(target: FakeAirflow) -> None:
    for value in (DATETIME, {version: {"at": [each]} for version, each in DATETIME.items()}):
        target.has_xcom("t", value[target.api_version])
        assert "of task 't': it is not JSON, but datetime.datetime. Let the task return" in error(target)


def test_class_of_a_dag_file_is_named_without_its_generated_prefix(target: FakeAirflow) -> None:
    name = f"unusual_prefix_{'0f' * 20}_values.Custom"
    values = {"v1": f"{name}@version=1(a=3)", "v2": {"__classname__": name, "__version__": 1, "__data__": {"a": 3}}}
    target.has_xcom("t", values[target.api_version])
    assert "it is not JSON, but values.Custom." in error(target)


def test_value_of_one_instance_that_is_not_json_is_an_error(target: FakeAirflow) -> None:
    target.has_xcom("t", 1, map_index=0)
    target.has_xcom("t", DATETIME[target.api_version], map_index=1)
    assert "it is not JSON" in error(target)


def text_of_size(size: int) -> str:
    return "x" * (size - 2)


def test_largest_value_is_read(target: FakeAirflow) -> None:
    target.has_xcom("t", text_of_size(MAX_RESULT_BYTES))
    assert len(json.dumps(result(target))) == MAX_RESULT_BYTES


def test_larger_value_is_an_error(target: FakeAirflow) -> None:
    target.has_xcom("t", text_of_size(MAX_RESULT_BYTES + 1))
    message = error(target)
    assert "XCom 'return_value' of task 't': it is larger than 1 MiB as JSON" in message
    assert "object store, and return its path" in message
    assert len(message) < 1000


def test_larger_list_is_an_error_before_all_of_it_is_read(target: FakeAirflow) -> None:
    for index in range(10):
        target.has_xcom("t", text_of_size(MAX_RESULT_BYTES // 4), map_index=index)
    assert "it is larger than 1 MiB as JSON" in error(target)
    assert len(target.received) == 2 + 5


def test_sizes_of_several_tasks_add_up(target: FakeAirflow) -> None:
    for task_id in ("t", "u", "v"):
        target.has_xcom(task_id, text_of_size(MAX_RESULT_BYTES // 2))
    assert set(result(target, ["t", "u"])) == {"t", "u"}
    assert "of task 'v': " in error(target, ["t", "u", "v"])


def test_response_that_is_too_large_to_read_is_an_error(target: FakeAirflow) -> None:
    body = b'{"key": "k", "value": "' + b"x" * MAX_RESULT_RESPONSE_BYTES
    target.on("GET", f"{TASK}/xcomEntries/return_value", ScriptedResponse(200, body))
    assert "it is larger than 1 MiB as JSON" in error(target)


def test_value_that_is_nested_too_deeply_is_an_error() -> None:
    target = FakeAirflow("v2")
    target.has_run("r", "success")
    value = "[" * 900 + "]" * 900
    body = f'{{"key": "k", "value": {value}}}'.encode()
    target.on("GET", f"{TASK}/xcomEntries/return_value", ScriptedResponse(200, body))
    assert "it is not JSON, but nested too deeply" in error(target)


def test_text_of_airflow_before_2_10_is_an_error() -> None:
    target = FakeAirflow("v1")
    target.has_run("r", "success")
    known = target.payloads.xcom("{'a': 1}")
    target.on("GET", f"{TASK}/xcomEntries/return_value", json_response(UNKNOWN, 400), json_response(known))
    assert "Airflow before 2.10 gives it only as text" in error(target)


def test_transient_error_can_be_retried(target: FakeAirflow) -> None:
    target.has_xcom("t", 1)
    target.on("GET", f"{TASK}/xcomEntries/return_value", TransportError("gone"))
    with pytest.raises(TransportError) as caught:
        result(target)
    assert caught.value.retryable
