"""Task groups, on targets that filter by them and on those that return all tasks instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.errors import NotFoundError, RequestNotPossible
from astro_provider.api.task_groups import RECHECK_FILTER_SECONDS
from astro_provider.waits.check import Check
from astro_provider.waits.wait import EndStates, RunWait, Verdict
from tests.unit.scripted_target import ScriptedTarget, json_response

if TYPE_CHECKING:
    from tests.unit.scripted_target import ReceivedRequest

RUN = "dags/d/dagRuns/r"
TASKS = f"{RUN}/taskInstances"
STATES = EndStates(["success"], ["failed"], [])


def wait(group_id: str, **options: Any) -> RunWait:
    return RunWait("d", STATES, run_id="r", group_id=group_id, **options)


def check(target: ScriptedTarget, of: RunWait, client: Any = None) -> Verdict:
    return target.run(Check(client or target.client(api_version=target.api_version), of).run())


def has(target: ScriptedTarget, *, filters: bool, groups: dict[str, list[str]] | None = None, **states: str) -> None:
    """
    Give the target a run with tasks in these states (``__`` in a name for a dot).

    :param filters: as Airflow 3.1.8 and up, which answer 404 for a group that the dag does not have; Airflow 3.0.6
        and 3.1.3 ignore the parameter
    """
    instances = {name.replace("__", "."): state for name, state in states.items()}

    def listed(received: ReceivedRequest) -> Any:
        names = list(instances)
        if filters and (group := received.query.get("task_group_id")):
            if group[0] not in (groups or {}):
                return json_response(
                    {"detail": {"reason": "not_found", "message": f"Task group {group[0]} not found"}}, 404
                )
            names = (groups or {})[group[0]]
        found = [target.payloads.task_instance(name, instances[name]) for name in names]
        return json_response(target.payloads.collection("task_instances", *found))

    target.on("GET", RUN, json_response(target.payloads.dag_run("r", "running")))
    target.on("GET", TASKS, listed)
    target.on("GET", "version", json_response({"version": "3.0.6", "git_version": None}))


def lists(target: ScriptedTarget) -> list[list[str] | None]:
    return [
        received.query.get("task_group_id") for received in target.received if received.path.endswith("/taskInstances")
    ]


@pytest.mark.parametrize("filters", [True, False])
def test_tasks_with_the_prefix_of_their_group_are_found(target: ScriptedTarget, filters: bool) -> None:
    has(target, filters=filters, groups={"g": ["g.a", "g.b"]}, g__a="success", g__b="running", other="failed")
    assert check(target, wait("g")).outcome == "pending"
    has(target, filters=filters, groups={"g": ["g.a", "g.b"]}, g__a="success", g__b="success", other="failed")
    assert check(target, wait("g")).outcome == "success"


def test_list_with_only_tasks_of_the_group_takes_one_request(target: ScriptedTarget) -> None:
    has(target, filters=True, groups={"g": ["g.a"]}, g__a="success", other="failed")
    check(target, wait("g"))
    assert lists(target) == [["g"]]


@pytest.mark.parametrize(("state", "outcome"), [("success", "success"), ("running", "pending"), ("failed", "failed")])
def test_tasks_without_the_prefix_are_found_if_the_target_filters(
    target: ScriptedTarget, state: str, outcome: str
) -> None:
    """The group can have tasks of both kinds, because an inner group can have prefix_group_id=False."""
    has(target, filters=True, groups={"g": ["g.a", "plain"]}, g__a="success", plain=state, other="failed")
    target.on("GET", f"{TASKS}/plain/logs/1", json_response({"content": []}))
    assert check(target, wait("g")).outcome == outcome


def test_filter_by_groups_is_checked_once(target: ScriptedTarget) -> None:
    has(target, filters=True, groups={"g": ["plain"]}, plain="running")
    client = target.client(api_version="v2")
    for _ in range(3):
        assert check(target, wait("g"), client).outcome == "pending"
    assert len(lists(target)) == 4


def test_filter_by_groups_is_checked_again_after_a_while(target: ScriptedTarget) -> None:
    has(target, filters=True, groups={"g": ["plain"]}, plain="running")
    client = target.client(api_version="v2")
    check(target, wait("g"), client)
    has(target, filters=False, plain="success")
    later = client.clock() + RECHECK_FILTER_SECONDS
    client.clock = lambda: later
    with pytest.raises(RequestNotPossible):
        check(target, wait("g"), client)


@pytest.mark.parametrize("states", [{"plain": "success"}, {"plain": "success", "gg__a": "success"}])
def test_unfiltered_list_is_not_taken_for_a_group(target: ScriptedTarget, states: dict[str, str]) -> None:
    has(target, filters=False, **states)
    with pytest.raises(RequestNotPossible, match=r"Airflow 3\.0\.6 .* no task of dag 'd' .* begins with 'g\.'"):
        check(target, wait("g"))


def test_missing_group_is_an_error_if_the_target_does_not_filter(target: ScriptedTarget) -> None:
    has(target, filters=False, plain="success")
    target.on("GET", "dags/d", json_response(target.payloads.dag("d")))
    with pytest.raises(NotFoundError, match="has no task group 'g'"):
        check(target, wait("g", check_existence=True))


def test_deleted_run_does_not_show_whether_the_target_filters(target: ScriptedTarget) -> None:
    has(target, filters=False, plain="success")
    everything = json_response(
        target.payloads.collection("task_instances", target.payloads.task_instance("plain", "success"))
    )
    gone = json_response({"detail": "The DagRun with dag_id: `d` and run_id: `r` was not found"}, 404)
    target.on("GET", TASKS, everything, gone)
    with pytest.raises(RequestNotPossible):
        check(target, wait("g"))


def test_unknown_group_on_airflow_2_has_no_tasks_yet(target_v1: ScriptedTarget) -> None:
    has(target_v1, filters=False, plain="success")
    assert check(target_v1, wait("g")).outcome == "pending"
    assert lists(target_v1) == [None]
