"""The calls: ids in their paths, and their bodies. The contract tests check the paths themselves."""

from __future__ import annotations

from typing import Any

import pytest

from astro_provider.api import calls, v1, v2

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
    ],
)
def test_ids_are_percent_encoded_into_paths(call: calls.Call[Any], path: str) -> None:
    assert call.path == path


@pytest.mark.parametrize("api_version", [v1, v2])
def test_trigger_sends_the_fields_that_are_set(api_version: Any) -> None:
    call = calls.trigger_dag_run(api_version, "d", {"dag_run_id": "r", "conf": {"a": 1}, "note": None})
    none = {} if api_version is v1 else {"logical_date": None}
    assert (call.method, call.body) == ("POST", {"dag_run_id": "r", "conf": {"a": 1}, **none})


def test_current_time_is_sent_only_to_api_v2() -> None:
    assert calls.trigger_dag_run(v2, "d", {"note": "n"}, now="2026").body == {"logical_date": "2026", "note": "n"}
    assert calls.trigger_dag_run(v1, "d", {"note": "n"}, now="2026").body == {"note": "n"}


def test_clear_request_for_failed_tasks_names_the_run() -> None:
    assert calls.clear_dag_run(v1, "d", "r", only_failed=True).body == {
        "dry_run": False,
        "dag_run_id": "r",
        "only_failed": True,
        "reset_dag_runs": True,
    }
    assert calls.clear_dag_run(v1, "d", "r", only_failed=False).body == {"dry_run": False}
    assert calls.clear_dag_run(v2, "d", "r", only_failed=True).body == {"dry_run": False, "only_failed": True}
