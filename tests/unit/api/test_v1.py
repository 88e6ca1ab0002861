from __future__ import annotations

from typing import Any

import pytest

from astro_provider.api import v1
from astro_provider.api.errors import RequestNotPossible
from astro_provider.api.parsing import NotJSONError, Unexpected
from astro_provider.api.types import DagRun
from tests.unit import payloads
from tests.unit.scripted_target import ScriptedTarget, json_response


def test_a_run_has_the_names_of_v2() -> None:
    run = v1.dag_run(payloads.v1.dag_run("r", conf={"a": 1}, note="n"))
    assert set(DagRun.__annotations__) <= set(run)
    assert "execution_date" not in run
    assert "external_trigger" not in run
    assert (run["logical_date"], run["conf"], run["note"], run["run_after"]) == (payloads.DATE, {"a": 1}, "n", None)


def test_a_run_of_an_older_airflow_2_has_its_logical_date_too() -> None:
    raw = payloads.v1.dag_run("r")
    del raw["logical_date"]
    assert v1.dag_run(raw)["logical_date"] == payloads.DATE
    assert "execution_date" in raw


def test_a_task_instance_has_the_names_of_v2() -> None:
    task = v1.task_instance(payloads.v1.task_instance("t"))
    assert "execution_date" not in task
    assert task["logical_date"] == payloads.DATE  # type: ignore[typeddict-item]


@pytest.mark.parametrize("name", ["run_after", "partition_key"])
def test_parameter_that_v1_lacks_is_refused(name: str) -> None:
    with pytest.raises(RequestNotPossible, match=f"^{name} needs Airflow 3 in the target"):
        v1.trigger_body({name: "x"})
    assert v1.trigger_body({name: None}) == {}


def test_trigger_leaves_out_fields_that_are_not_set() -> None:
    fields: dict[str, Any] = {"dag_run_id": "r", "logical_date": None, "conf": {}, "note": None}
    assert v1.trigger_body(fields) == {"dag_run_id": "r", "conf": {}}


@pytest.mark.parametrize(
    ("filters", "sent"),
    [
        ({"logical_date_gte": "a", "logical_date_lte": "b"}, {"execution_date_gte": "a", "execution_date_lte": "b"}),
        ({"run_after_gte": "a", "state": ["x"]}, {"execution_date_gte": "a", "state": ["x"]}),
        ({"order_by": "-run_after"}, {"order_by": "-execution_date"}),
        ({"order_by": "logical_date"}, {"order_by": "execution_date"}),
        ({"order_by": "-start_date", "limit": 1}, {"order_by": "-start_date", "limit": 1}),
        ({"order_by": None}, {"order_by": None}),
    ],
)
def test_filters_get_their_names_of_v1(filters: dict[str, Any], sent: dict[str, Any]) -> None:
    assert v1.run_filters(filters) == sent


@pytest.mark.parametrize(
    ("content", "log_lines"),
    [
        (repr([("worker", "a\nb"), ("other", "c")]), ["a", "b", "c"]),
        ("plain text\nof two lines", ["plain text", "of two lines"]),
        ("", []),
        ("[]", []),
        ("7", ["7"]),
        ("[7]", ["[7]"]),
        ("[()]", ["[()]"]),
        ("[('w', 'cut off", ["[('w', 'cut off"]),
        ("(" * 5000, ["(" * 5000]),
    ],
)
def test_log_is_text_or_the_repr_of_pairs(content: str, log_lines: list[str]) -> None:
    assert [entry["event"] for entry in v1.log_entries({"content": content})] == log_lines


@pytest.mark.parametrize("read", [v1.dag_run, v1.task_instance, v1.log_entries])
@pytest.mark.parametrize("raw", [None, [], "x", {}, {"dag_id": "d"}, {"content": []}])
def test_json_of_another_form_is_refused(read: Any, raw: Any) -> None:
    with pytest.raises(Unexpected, match=r"^a (dag run|task instance|task log) with "):
        read(raw)


def test_run_url_is_that_of_the_ui() -> None:
    assert v1.run_url("https://x", "a b", "r/+") == "https://x/dags/a%20b/grid?dag_run_id=r%2F%2B"


@pytest.mark.parametrize("content", ["[{'a': 1}]", "[{}]", "{'a': 1}", "[1]", "[set()]", "[('host',)]", "5"])
def test_log_that_looks_like_python_is_text(target_v1: ScriptedTarget, content: str) -> None:
    target_v1.on("GET", "dags/d/dagRuns/r/taskInstances/t/logs/1", json_response({"content": content}))
    log = target_v1.run(target_v1.client(api_version="v1").get_task_log("d", "r", "t", try_number=1))
    assert [entry["event"] for entry in log] == [content]


@pytest.mark.parametrize("value", ["(1,(2,3))", "(1,2)", "{'a': 1}", "[1, 'two']", "{1, 2}"])
def test_text_of_a_python_value_is_not_json(value: str) -> None:
    """The first two are a tuple and a set of 2.11.2, the others values with ``enable_xcom_pickling``."""
    with pytest.raises(NotJSONError):
        v1.xcom_value(value)


@pytest.mark.parametrize(
    "value", ["", "(", "text (more)", '{"a": 1}', "[1, 2]", "{a}", "{'a'", "[x", "a@version=b(c)", {"note": "(none)"}]
)
def test_other_text_is_a_value(value: Any) -> None:
    assert v1.xcom_value(value) == value
