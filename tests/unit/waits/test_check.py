"""One check of a wait: which requests it makes, and what the responses mean."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from astro_provider.api.errors import NotFoundError
from astro_provider.waits.check import Check
from astro_provider.waits.wait import EndStates, RunWait, Verdict, outcome_words
from tests.unit import payloads
from tests.unit.scripted_target import ScriptedTarget, json_response

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from astro_provider.waits.wait import Outcome
    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse

END_STATES = EndStates(["success"], ["failed", "upstream_failed"], ["skipped"])
RUN = "dags/d/dagRuns/r"
RUNS = "dags/d/dagRuns"
TASKS = f"{RUN}/taskInstances"
SEARCH = "dags/~/dagRuns/~/taskInstances/list"


def client_of(target: ScriptedTarget) -> Any:
    return target.client(api_version=target.api_version)


def check(target: ScriptedTarget, wait: RunWait, **arguments: Any) -> Verdict:
    return target.run(Check(client_of(target), wait).run(**arguments))


def runs(target: ScriptedTarget, *states: str, total: int | None = None) -> Any:
    """Make a response that lists the runs r0, r1, ... in these states."""
    found = [target.payloads.dag_run(f"r{i}", state) for i, state in enumerate(states)]
    return json_response(target.payloads.collection("dag_runs", *found, total=total))


def tasks(target: ScriptedTarget, *found: dict[str, Any]) -> Any:
    return json_response(target.payloads.collection("task_instances", *found))


# Runs


@pytest.mark.parametrize(
    ("state", "outcome"), [("queued", "pending"), ("running", "pending"), ("success", "success"), ("failed", "failed")]
)
def test_run_id_names_the_run(any_target: ScriptedTarget, state: str, outcome: str) -> None:
    any_target.on("GET", RUN, json_response(any_target.payloads.dag_run("r", state)))
    any_target.on("GET", TASKS, tasks(any_target))
    verdict = check(any_target, RunWait("d", END_STATES, run_id="r"))
    assert (verdict.outcome, verdict.run and verdict.run["dag_run_id"]) == (outcome, "r")
    assert verdict.message.startswith(
        f"{state.capitalize()}: dag 'd' in Deployment {any_target.url} (connection 'http_conn')\n"
    )
    assert verdict.message.endswith(f"\nRun: r\n{verdict.url}")
    page_of_run = "grid?dag_run_id=r" if any_target.api_version == "v1" else "runs/r"
    assert verdict.url == f"{any_target.url}/dags/d/{page_of_run}"


@pytest.mark.parametrize(
    ("wait", "absence"),
    [
        (RunWait("d", END_STATES, run_id="r"), ": no such run"),
        (RunWait("d", END_STATES, logical_dates=[payloads.DATE]), f": no run with logical date {payloads.DATE}"),
        (RunWait("d", END_STATES, latest=True), ": no run"),
    ],
)
@pytest.mark.parametrize("dag_exists", [False, True])
def test_wait_for_a_run_that_does_not_exist_is_pending(
    any_target: ScriptedTarget, wait: RunWait, absence: str, dag_exists: bool
) -> None:
    any_target.on("GET", "version", json_response(any_target.payloads.version()))
    if dag_exists:
        any_target.on("GET", RUNS, runs(any_target))
    verdict = check(any_target, wait)
    assert (verdict.outcome, verdict.run, verdict.url) == ("pending", None, None)
    first, *run = verdict.message.splitlines()
    assert first == f"Not there yet: dag 'd'{absence} in Deployment {any_target.url} (connection 'http_conn')"
    assert run == (["Run: r"] if wait.run_id else [])


def test_deleted_run_that_must_exist_is_an_error(any_target: ScriptedTarget) -> None:
    any_target.on("GET", "version", json_response(any_target.payloads.version()))
    with pytest.raises(NotFoundError, match=r"^Deleted: dag 'd', its run is gone in .*\nRun: r$"):
        check(any_target, RunWait("d", END_STATES, run_id="r", must_exist=True))


def test_finished_run_in_a_state_that_is_not_allowed_fails_the_wait(any_target: ScriptedTarget) -> None:
    any_target.on("GET", RUN, json_response(any_target.payloads.dag_run("r", "success")))
    verdict = check(any_target, RunWait("d", EndStates(["failed"]), run_id="r", must_exist=True))
    assert verdict.outcome == "failed"
    assert verdict.message.startswith("Failed: dag 'd' in ")
    assert "\n  State: success\n  This state is none of allowed_states (failed)\n" in verdict.message


@pytest.mark.parametrize(("api_version", "name"), [("v1", "execution_date"), ("v2", "logical_date")])
def test_runs_are_found_by_their_logical_dates(api_version: str, name: str) -> None:
    target = ScriptedTarget(api_version)
    target.on("GET", RUNS, runs(target, "success"), runs(target, "running"))
    verdict = check(target, RunWait("d", END_STATES, logical_dates=["2026-01-01", "2026-01-02"]))
    assert verdict.outcome == "pending"
    paging = {"limit": ["1"], "offset": ["0"]}
    assert [received.query for received in target.received] == [
        {f"{name}_gte": [date], f"{name}_lte": [date], **paging} for date in ("2026-01-01", "2026-01-02")
    ]


@pytest.mark.parametrize(
    ("first", "second", "outcome", "decided_by"),
    [
        (["success"], ["success"], "success", "success"),
        (["success"], [], "pending", "success"),
        ([], ["success"], "pending", "success"),
        (["failed"], ["running"], "failed", "failed"),
        (["failed"], [], "failed", "failed"),
    ],
)
def test_all_of_several_runs_must_exist_and_succeed(
    target: ScriptedTarget, first: list[str], second: list[str], outcome: str, decided_by: str
) -> None:
    target.on("GET", RUNS, runs(target, *first), runs(target, *second))
    verdict = check(target, RunWait("d", END_STATES, logical_dates=["2026-01-01", "2026-01-02"]))
    assert verdict.outcome == outcome
    assert verdict.run is not None
    assert verdict.run["state"] == decided_by


@pytest.mark.parametrize(("api_version", "name"), [("v1", "execution_date"), ("v2", "run_after")])
@time_machine.travel("2026-01-31T06:00:00Z", tick=False)
def test_newest_run_is_not_in_the_future(api_version: str, name: str) -> None:
    target = ScriptedTarget(api_version)
    target.on("GET", RUNS, runs(target, "success", total=7))
    assert check(target, RunWait("d", END_STATES, latest=True)).outcome == "success"
    [received] = target.received
    assert received.query == {
        "order_by": [f"-{name}"],
        f"{name}_lte": ["2026-01-31T06:00:00+00:00"],
        "limit": ["1"],
        "offset": ["0"],
    }


def test_message_of_a_failed_run_names_the_failed_tasks(any_target: ScriptedTarget) -> None:
    any_target.on("GET", RUN, json_response(any_target.payloads.dag_run("r", "failed")))
    any_target.on("GET", TASKS, tasks(any_target, any_target.payloads.task_instance("load", "failed")))
    any_target.on("GET", f"{TASKS}/load/logs/1", json_response(any_target.payloads.log()))
    verdict = check(any_target, RunWait("d", END_STATES, run_id="r"))
    first, *rest = verdict.message.splitlines()
    assert first.startswith("Failed: dag 'd' in ")
    assert rest == ["  Failed tasks:", "    load (try 1): ValueError: no rows", "Run: r", verdict.url]


def test_message_of_a_successful_run_in_failed_states_names_no_tasks(any_target: ScriptedTarget) -> None:
    any_target.on("GET", RUN, json_response(any_target.payloads.dag_run("r", "success")))
    verdict = check(any_target, RunWait("d", EndStates(["failed"], ["success"]), run_id="r"))
    assert (verdict.outcome, any_target.calls_received) == ("failed", [f"GET {any_target.api(RUN)}"])


# Tasks


def answer_searches(target: ScriptedTarget, found: Mapping[str, Iterable[dict[str, Any]]]) -> None:
    """Let a target find these task instances, by run id, if it is requested to list tasks of several runs."""

    def search(received: ReceivedRequest) -> ScriptedResponse:
        candidates = [task for run_id in received.json["dag_run_ids"] for task in found[run_id]]
        return tasks(target, *(task for task in candidates if task["task_id"] in received.json["task_ids"]))

    target.on("POST", SEARCH, search)


def has_tasks(target: ScriptedTarget, *found: dict[str, Any], run_state: str = "running") -> None:
    """Let a target have the run ``r`` with these task instances, and a log of the task ``a``."""
    target.on("GET", RUN, json_response(target.payloads.dag_run("r", run_state)))
    target.on("GET", TASKS, tasks(target, *found))
    answer_searches(target, {"r": found})
    target.on("GET", f"{TASKS}/a/logs/1", json_response(target.payloads.log()))


TASK = RunWait("d", END_STATES, run_id="r", task_ids=["a"])
TWO_TASKS = replace(TASK, task_ids=["a", "b"])
GROUP = replace(TASK, task_ids=[], group_id="g")


@pytest.mark.parametrize(
    ("wait", "found", "outcome", "states"),
    [
        (TASK, [("a", "success")], "success", "success"),
        (TASK, [("a", None)], "pending", "none"),
        (TASK, [("a", "running"), ("b", "failed")], "pending", "running"),
        (TASK, [("b", "success")], "pending", "not there yet"),
        (TASK, [], "pending", "not there yet"),
        (TASK, [("a", "skipped")], "skipped", "skipped"),
        (TASK, [("a", "upstream_failed")], "failed", "upstream_failed"),
        (TWO_TASKS, [("a", "success"), ("b", "success")], "success", "success"),
        (TWO_TASKS, [("a", "success")], "pending", "success"),
        (TWO_TASKS, [("a", "success"), ("b", "running")], "pending", "running, success"),
        (TWO_TASKS, [("a", "failed"), ("b", "running")], "failed", "failed, running"),
        (GROUP, [("g.a", "success"), ("g.b", "success"), ("x", "failed")], "success", "success"),
        (GROUP, [("g.a", "success"), ("g.b", "running")], "pending", "running, success"),
        (GROUP, [("g.a", "upstream_failed")], "failed", "upstream_failed"),
        (GROUP, [], "pending", "not there yet"),
    ],
)
def test_states_of_tasks_determine_the_outcome(
    any_target: ScriptedTarget, wait: RunWait, found: list[tuple[str, str | None]], outcome: Outcome, states: str
) -> None:
    has_tasks(any_target, *(any_target.payloads.task_instance(task_id, state) for task_id, state in found))
    verdict = check(any_target, wait)
    assert verdict.outcome == outcome
    words, remark = outcome_words(outcome, states)
    first, second, *_ = verdict.message.splitlines()
    assert first.startswith(f"{words}: dag 'd', task")
    assert second == f"  {remark}" or not remark


def test_all_instances_of_a_mapped_task_must_succeed(any_target: ScriptedTarget) -> None:
    mapped = [
        any_target.payloads.task_instance("a", state, map_index=i) for i, state in enumerate(["success", "running"])
    ]
    has_tasks(any_target, *mapped)
    assert check(any_target, TASK).outcome == "pending"
    has_tasks(any_target, *(task | {"state": "success"} for task in mapped))
    assert check(any_target, TASK).outcome == "success"
    has_tasks(any_target, mapped[0], mapped[1] | {"state": "failed"})
    verdict = check(any_target, TASK)
    assert verdict.outcome == "failed"
    assert "  a[1] (try 1): ValueError: no rows" in verdict.message


@pytest.mark.parametrize("refused", [False, True])
def test_tasks_of_many_runs_are_listed_together_if_the_token_allows_it(
    any_target: ScriptedTarget, refused: bool
) -> None:
    """The run ``r2`` was deleted after it was found."""
    any_target.on("GET", RUNS, runs(any_target, "running", "running", "running"))
    found = {f"r{i}": [any_target.payloads.task_instance("a", "success", dag_run_id=f"r{i}")] for i in range(2)}
    answer_searches(any_target, {**found, "r2": []})
    for run_id, instances in found.items():
        any_target.on("GET", f"{RUNS}/{run_id}/taskInstances", tasks(any_target, *instances))
    if refused:
        any_target.on("POST", SEARCH, json_response(any_target.payloads.error(403, "only its own dags"), 403))
    wait = replace(TASK, run_id=None, logical_date_range=["2026-01-01", "2027-01-01"])
    assert check(any_target, wait).outcome == "pending"  # r2 might exist again
    assert refused or len(any_target.received) == 2
    any_target.on("GET", RUNS, runs(any_target, "running", "running"))
    assert check(any_target, wait).outcome == "success"


def test_wait_for_a_group_that_the_run_does_not_have_is_pending(target: ScriptedTarget) -> None:
    """Airflow 3.2 and later responds with 404 for a group without tasks."""
    target.on("GET", RUN, json_response(target.payloads.dag_run("r", "running")))
    target.on("GET", TASKS, json_response({"detail": "Task group g not found"}, 404))
    assert check(target, GROUP).outcome == "pending"


def test_removed_task_of_a_finished_run_fails_the_wait(any_target: ScriptedTarget) -> None:
    has_tasks(any_target, any_target.payloads.task_instance("a", "removed"), run_state="success")
    verdict = check(any_target, TASK)
    assert verdict.outcome == "failed"
    assert "Its run is over, and 'a' is removed. List 'removed' in allowed_states or skipped_states" in verdict.message


def test_tasks_of_all_runs_are_checked(target: ScriptedTarget) -> None:
    dates = ["2026-01-01", "2026-01-02"]
    wait = replace(TASK, run_id=None, logical_dates=dates)
    first, second = target.payloads.dag_run("r", "success"), target.payloads.dag_run("r2", "running")
    done, failed = target.payloads.task_instance("a"), target.payloads.task_instance("a", "failed", dag_run_id="r2")
    run_lists = [
        json_response(target.payloads.collection("dag_runs", *found)) for found in ([first], [second], [first], [])
    ]
    target.on("GET", RUNS, *run_lists)
    answer_searches(target, {"r": [done], "r2": [failed]})
    verdict = check(target, wait)
    assert verdict.outcome == "failed"
    assert verdict.run is not None
    assert verdict.run["dag_run_id"] == "r2"
    verdict = check(target, wait)
    assert (verdict.outcome, verdict.run and verdict.run["dag_run_id"]) == ("pending", "r")


# Existence


def test_existence_is_checked_at_the_first_check_only(any_target: ScriptedTarget) -> None:
    any_target.on("GET", "dags/d", json_response(any_target.payloads.dag()))
    any_target.on("GET", "dags/d/tasks/a", json_response(any_target.payloads.task("a")))
    has_tasks(any_target, any_target.payloads.task_instance("a"))
    wait = replace(TASK, check_existence=True)
    check(any_target, wait)
    assert [line.rpartition("/")[2] for line in any_target.calls_received] == ["d", "a", "r", "list"]
    check(any_target, wait, first=False)
    assert [line.rpartition("/")[2] for line in any_target.calls_received[4:]] == ["r", "list"]


def test_unknown_dag_is_an_error_with_check_existence(any_target: ScriptedTarget) -> None:
    with pytest.raises(NotFoundError, match="has no dag 'd'"):
        check(any_target, RunWait("d", END_STATES, run_id="r", check_existence=True))


def test_unknown_task_is_an_error_with_check_existence(any_target: ScriptedTarget) -> None:
    any_target.on("GET", "dags/d", json_response(any_target.payloads.dag()))
    any_target.on("GET", "dags", json_response(any_target.payloads.collection("dags", any_target.payloads.dag())))
    with pytest.raises(NotFoundError, match="has no task 'a' of dag 'd'"):
        check(any_target, replace(TASK, check_existence=True))


def test_unknown_group_is_an_error_with_check_existence(any_target: ScriptedTarget) -> None:
    any_target.on("GET", "dags/d", json_response(any_target.payloads.dag()))
    any_target.on("GET", RUN, json_response(any_target.payloads.dag_run()))
    wait = replace(GROUP, check_existence=True)
    everything = tasks(any_target, any_target.payloads.task_instance("x"))
    any_target.on("GET", TASKS, lambda received: tasks(any_target) if "task_group_id" in received.query else everything)
    with pytest.raises(NotFoundError, match="has no task group 'g' in dag 'd'"):
        check(any_target, wait)
    any_target.on("GET", TASKS, tasks(any_target))
    assert check(any_target, wait).outcome == "pending"
