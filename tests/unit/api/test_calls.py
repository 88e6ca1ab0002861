"""What is asked: ids in paths, and endpoints that must not lead elsewhere. (Paths: see the contract tests.)"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_provider.api import calls, v1, v2
from astro_provider.api.any_endpoint import any_endpoint
from astro_provider.api.errors import RequestNotPossible

ODD = "żółw a/b?c#d%2F.~+:"
ENCODED = "%C5%BC%C3%B3%C5%82w%20a%2Fb%3Fc%23d%252F.~%2B%3A"


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (calls.get_dag(v2, ODD), f"dags/{ENCODED}"),
        (calls.set_paused(v2, ODD, paused=True), f"dags/{ENCODED}"),
        (calls.trigger_dag_run(v2, ODD, {}), f"dags/{ENCODED}/dagRuns"),
        (calls.list_dag_runs(v2, {}, ODD, {}), f"dags/{ENCODED}/dagRuns"),
        (calls.get_dag_run(v2, ODD, ODD), f"dags/{ENCODED}/dagRuns/{ENCODED}"),
        (calls.set_run_state(v2, ODD, ODD, "failed"), f"dags/{ENCODED}/dagRuns/{ENCODED}"),
        (calls.clear_dag_run(v2, ODD, ODD, only_failed=True), f"dags/{ENCODED}/dagRuns/{ENCODED}/clear"),
        (calls.clear_dag_run(v1, ODD, ODD, only_failed=False), f"dags/{ENCODED}/dagRuns/{ENCODED}/clear"),
        (calls.clear_dag_run(v1, ODD, ODD, only_failed=True), f"dags/{ENCODED}/clearTaskInstances"),
        (calls.get_task(v2, ODD, ODD), f"dags/{ENCODED}/tasks/{ENCODED}"),
        (calls.list_task_instances(v2, {}, "d", ODD, {}), f"dags/d/dagRuns/{ENCODED}/taskInstances"),
        (calls.get_task_instance(v2, "d", "r", ODD, -1), f"dags/d/dagRuns/r/taskInstances/{ENCODED}"),
        (calls.get_task_instance(v2, "d", "r", ODD, 0), f"dags/d/dagRuns/r/taskInstances/{ENCODED}/0"),
        (calls.get_task_log(v2, "d", "r", ODD, 3, -1), f"dags/d/dagRuns/r/taskInstances/{ENCODED}/logs/3"),
        (calls.get_xcom(v2, "d", "r", "t", ODD, None), f"dags/d/dagRuns/r/taskInstances/t/xcomEntries/{ENCODED}"),
    ],
)
def test_ids_are_percent_encoded_into_paths(call: calls.Call[Any], path: str) -> None:
    assert call.path == path


@given(st.text(min_size=1).filter(lambda name: name not in (".", "..")))
def test_any_id_is_one_segment_and_comes_back(name: str) -> None:
    _, segment = calls.get_dag(v2, name).path.split("/")
    assert segment.isascii()
    assert unquote(segment) == name


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_an_id_that_would_be_a_direction_is_refused(name: str) -> None:
    with pytest.raises(RequestNotPossible, match="cannot be part of a URL"):
        calls.get_dag(v2, name)


@pytest.mark.parametrize("api_version", [v1, v2])
def test_a_trigger_sends_what_is_set(api_version: Any) -> None:
    call = calls.trigger_dag_run(api_version, "d", {"dag_run_id": "r", "conf": {"a": 1}, "note": None})
    none = {} if api_version is v1 else {"logical_date": None}
    assert (call.method, call.body) == ("POST", {"dag_run_id": "r", "conf": {"a": 1}, **none})


def test_clearing_the_failed_tasks_of_a_run_says_which_run() -> None:
    assert calls.clear_dag_run(v1, "d", "r", only_failed=True).body == {
        "dry_run": False,
        "dag_run_id": "r",
        "only_failed": True,
        "reset_dag_runs": True,
    }
    assert calls.clear_dag_run(v1, "d", "r", only_failed=False).body == {"dry_run": False}
    assert calls.clear_dag_run(v2, "d", "r", only_failed=True).body == {"dry_run": False, "only_failed": True}


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("pools", "pools"),
        ("/pools", "pools"),
        (" dags/d?x=1 ", "dags/d?x=1"),
        ("dags/a..b", "dags/a..b"),
        ("apis", "apis"),
        ("x?y=..", "x?y=.."),
        ("dags/a%20b", "dags/a%20b"),
        ("dags/a b", "dags/a%20b"),
        ("dags/a\r\nb", "dags/a%0D%0Ab"),
        ("dags/ż#\\", "dags/%C5%BC%23%5C"),
    ],
)
def test_an_endpoint_is_taken_as_it_is_but_for_what_no_url_may_hold(endpoint: str, path: str) -> None:
    assert any_endpoint("get", endpoint).path == path
    assert any_endpoint("get", endpoint).method == "GET"


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        " / ",
        "https://other.example.com/x",
        "../../auth/token",
        "dags/../../../auth",
        "dags/./d",
        "/api/v2/dags",
        "api/v1/dags",
        "dags/%2e%2e/x",
        "dags/%2E./x",
    ],
)
def test_an_endpoint_that_leads_elsewhere_is_refused(endpoint: str) -> None:
    with pytest.raises(RequestNotPossible, match=r"expected a path relative to /api/vN/, e\.g\. 'dags' or 'pools'"):
        any_endpoint("GET", endpoint)


@pytest.mark.parametrize(
    ("name", "value"),
    [("X Key", "hidden-1"), ("X-Key\n", "hidden-1"), ("X-Key", "hidden-1\nX-Evil: 1"), ("Content-Length", "7")],
)
def test_a_header_that_cannot_be_sent_is_refused_without_being_shown(name: str, value: str) -> None:
    with pytest.raises(RequestNotPossible) as caught:
        any_endpoint("GET", "dags", headers={name: value})
    assert f"headers of endpoint 'dags', {name!r}: it is sent as a header" in str(caught.value)
    assert "hidden-1" not in str(caught.value)


def test_a_header_is_sent_as_text_without_blanks_around_it() -> None:
    assert any_endpoint("GET", "dags", headers={"X-Key": " a "}).headers == {"X-Key": "a"}
