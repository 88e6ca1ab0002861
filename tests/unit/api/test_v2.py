from __future__ import annotations

from typing import Any

import pytest

from astro_provider.api import v2
from astro_provider.api.parsing import NotJSONError, Unexpected
from astro_provider.api.types import DagRun
from tests.unit import payloads


def test_dag_run_is_unchanged() -> None:
    raw = payloads.v2.dag_run("r", conf={"a": 1})
    assert v2.dag_run(raw) == raw
    assert set(DagRun.__annotations__) <= set(raw)


def test_a_run_of_an_older_airflow_3_has_all_keys() -> None:
    raw = payloads.v2.dag_run("r")
    del raw["partition_key"], raw["duration"]
    run = v2.dag_run(raw)
    assert (run["partition_key"], run["duration"]) == (None, None)


def test_trigger_always_has_a_logical_date() -> None:
    fields: dict[str, Any] = {"dag_run_id": "r", "logical_date": None, "note": None}
    assert v2.trigger_body(fields) == {"dag_run_id": "r", "logical_date": None}
    assert v2.trigger_body({"logical_date": "x"}) == {"logical_date": "x"}


def test_filters_are_unchanged() -> None:
    filters: dict[str, Any] = {"order_by": "-run_after"}
    assert v2.run_filters(filters) == filters


DETAIL = [{"exc_type": "KeyError", "exc_value": "'x'"}, {"exc_type": "ValueError", "exc_value": "a cause"}]


@pytest.mark.parametrize(
    ("entry", "read"),
    [
        ("a line", {"event": "a line", "timestamp": None, "level": None, "error": None}),
        ({"event": "e"}, {"event": "e", "timestamp": None, "level": None, "error": None}),
        (
            {"event": "e", "timestamp": "T", "level": "error", "error_detail": DETAIL, "more": 1},
            {"event": "e", "timestamp": "T", "level": "error", "error": "KeyError: 'x'"},
        ),
        (
            {"event": "e", "timestamp": 7, "level": None, "error_detail": None},
            {"event": "e", "timestamp": None, "level": None, "error": None},
        ),
        ({"event": "e", "error_detail": []}, {"event": "e", "timestamp": None, "level": None, "error": None}),
        ({"event": "e", "error_detail": ["x"]}, {"event": "e", "timestamp": None, "level": None, "error": None}),
    ],
)
def test_log_entry_is_read_from_text_or_an_object(entry: Any, read: dict[str, Any]) -> None:
    assert v2.log_entries({"content": [entry]}) == [read]


@pytest.mark.parametrize("read", [v2.dag_run, v2.task_instance, v2.log_entries])
@pytest.mark.parametrize("raw", [None, [], "x", {}, {"dag_id": "d"}, {"content": "x"}, {"content": [7]}])
def test_json_of_another_form_is_refused(read: Any, raw: Any) -> None:
    with pytest.raises(Unexpected, match=r"^a (dag run|task instance|task log|log entry) with "):
        read(raw)


def test_run_url_is_that_of_the_ui() -> None:
    assert v2.run_url("https://x", "a b", "r/+") == "https://x/dags/a%20b/runs/r%2F%2B"


def test_tuple_of_an_xcom_becomes_a_list() -> None:
    inner = {"__classname__": "builtins.tuple", "__version__": 1, "__data__": [2, {"a": None}]}
    raw: Any = {"pair": {"__classname__": "builtins.tuple", "__version__": 1, "__data__": [1, inner]}}
    assert v2.xcom_value(raw) == {"pair": [1, [2, {"a": None}]]}


@pytest.mark.parametrize("name", ["builtins.set", "datetime.datetime", "numpy.int64"])
def test_other_value_that_json_does_not_have_is_an_error(name: str) -> None:
    with pytest.raises(NotJSONError, match=f"^{name}$"):
        v2.xcom_value([{"rows": {"__classname__": name, "__version__": 1, "__data__": [1]}}])
