"""A list that fails ends no wait, whatever the target or a gateway responds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.errors import AccessDeniedError, NotFoundError, TransportError
from astro_provider.triggers.watcher.periodic_check_rate import MIN_CHECKS_WITHOUT_LISTS, POLLS_PER_CHECK, ROUND_SECONDS
from astro_provider.waits.transient import MAX_REFUSED_SECONDS as TOLERATED_SECONDS
from tests.unit.scripted_target import ScriptedResponse, html_response, json_response
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, RUNS, TASKS

if TYPE_CHECKING:
    from tests.unit.scripted_target import Script
    from tests.unit.task_runner import FakeClock
    from tests.unit.triggers.watcher.watched_airflow import Waits, WatchedAirflow

HTML = (400, 401, 403, 404, 405, 408, 409, 413, 414, 418, 421, 425, 426, 429, 451, 500, 502, 503, 504)
UNUSABLE: dict[str, Script] = {
    **{f"HTML {status}": html_response("Error", status) for status in HTML},
    **{f"JSON {status}": json_response({"error": "no route"}, status) for status in (400, 404, 405, 409, 413, 422)},
    "200 HTML": html_response("Maintenance"),
    "200 without rows": json_response({}),
    "200 list": json_response([]),
    "200 cut off": ScriptedResponse(200, b'{"dag_runs": [{"dag_id":', {"Content-Type": "application/json"}),
    "200 rows of another kind": json_response({"dag_runs": [1], "task_instances": [1], "total_entries": 1}),
    "204": ScriptedResponse(204),
    "redirect": ScriptedResponse(302, b"", {"Location": "https://login.example.com/"}),
    "broken off": TransportError("broken off"),
}


@pytest.mark.parametrize("times", ["once", "always"])
@pytest.mark.parametrize("name", UNUSABLE)
@pytest.mark.parametrize("for_tasks", [False, True], ids=["runs", "tasks"])
async def test_failing_list_ends_no_wait(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits, name: str, times: str, for_tasks: bool
) -> None:
    names = [f"run-{number}" for number in range(6)]
    for run_id in names:
        any_airflow.has_run(run_id, "running", end_date=None)
        any_airflow.has_task("load", "running", run_id=run_id, end_date=None)
    fields: dict[str, Any] = {"task_ids": ["load"]} if for_tasks else {"must_exist": True}
    waiting = [waits(run_id, **fields) for run_id in names]
    await clock.sleep_async(INTERVAL + 1)

    def answer(received: Any) -> ScriptedResponse:
        unusable = UNUSABLE[name]
        if "end_date_gte" not in received.json:
            return any_airflow.stored_response(received)  # the check of a task
        if times == "once":
            any_airflow._scripts.clear()
        if isinstance(unusable, TransportError):
            raise unusable
        assert isinstance(unusable, ScriptedResponse)
        return unusable

    any_airflow.on("POST", TASKS if for_tasks else RUNS, answer)
    await clock.sleep_async(2 * TOLERATED_SECONDS if times == "always" else 4 * INTERVAL)
    assert [each.task.done() for each in waiting] == [False] * len(names)
    assert {len(each.warnings) for each in waiting} <= {0, 1}
    for run_id in names:
        any_airflow.end_run(run_id)
        any_airflow.end_task("load", run_id=run_id)
    await clock.sleep_async(2 * POLLS_PER_CHECK * INTERVAL)
    assert [each.outcome for each in waiting] == ["success"] * len(names)


async def test_gateway_that_answers_404_ends_no_wait(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    names = [f"run-{number}" for number in range(30)]
    for name in names:
        any_airflow.has_run(name, "running", end_date=None)
    waiting = [waits(name, must_exist=True) for name in names]
    await clock.sleep_async(INTERVAL + 1)
    stored_response = any_airflow.stored_response
    any_airflow.stored_response = lambda _: json_response({"message": "no route"}, 404)  # type: ignore[method-assign]
    await clock.sleep_async(TOLERATED_SECONDS / 2)
    assert [each.task.done() for each in waiting] == [False] * 30
    any_airflow.stored_response = stored_response  # type: ignore[method-assign]
    any_airflow.delete_run("run-0")
    for name in names[1:]:
        any_airflow.end_run(name)
    await clock.sleep_async(20 * INTERVAL)
    assert [each.outcome for each in waiting[1:]] == ["success"] * 29
    await clock.sleep_async(ROUND_SECONDS)
    with pytest.raises(NotFoundError, match=r"^Deleted: dag 'd', its run is gone in "):
        waiting[0].task.result()


@pytest.mark.parametrize("number", [2, 300])
async def test_token_refused_for_too_long_ends_each_wait_by_its_own_check(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, number: int
) -> None:
    names = [f"run-{each}" for each in range(number)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(INTERVAL + 1)
    target.tokens.clear()
    await clock.sleep_async(TOLERATED_SECONDS - INTERVAL)
    target.reset_counts()
    assert [each.task.done() for each in waiting] == [False] * number
    await clock.sleep_async((POLLS_PER_CHECK + 2 + number / MIN_CHECKS_WITHOUT_LISTS) * INTERVAL)
    for each in waiting:
        with pytest.raises(AccessDeniedError, match="dagRuns/run-"):
            each.task.result()
    assert target.refused_count <= number + number / MIN_CHECKS_WITHOUT_LISTS + 10
