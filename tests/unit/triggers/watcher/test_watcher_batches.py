"""Lists of what has not finished check many waits at once, and leave the others to checks of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.triggers.watcher.feed import LIST_BY_DAG_SECONDS
from astro_provider.triggers.watcher.turns import ROUND_SECONDS
from tests.unit.target import says
from tests.unit.triggers.watcher.played import INTERVAL, RUNS, TASKS, Target, Waits

if TYPE_CHECKING:
    from tests.unit.target import Answer, Seen
    from tests.unit.task_runner import Clock

POLLS_PER_ROUND = int(ROUND_SECONDS / INTERVAL)


async def test_many_waits_cost_less_than_two_requests_per_interval(target: Target, clock: Clock, waits: Waits) -> None:
    for name in target.has_running(1000):
        waits(name)
    await clock.sleep_async(1)
    assert target.looks() == 1000
    await clock.sleep_async(4 * INTERVAL)
    target.forget()
    for _ in range(12):
        before = len(target.seen)
        await clock.sleep_async(INTERVAL)
        assert len(target.seen) - before <= 2
    assert len(target.seen) <= 12 * 1.25 + 1
    assert target.looks() == 0


async def test_many_waits_for_tasks_cost_as_little(either: Target, clock: Clock, waits: Waits) -> None:
    for name in either.has_running(300):
        either.has_task("load", "running", run_id=name, end_date=None)
        waits(name, task_ids=["load"])
    await clock.sleep_async(1 + 20 * INTERVAL)
    either.forget()
    await clock.sleep_async(40 * INTERVAL)
    assert (either.lists(TASKS), either.batches(TASKS), either.looks()) == (40, 10, 0)
    assert len(either.seen) == 50


@pytest.mark.parametrize("number", [4, 200])
async def test_a_run_that_is_deleted_is_noticed(either: Target, clock: Clock, waits: Waits, number: int) -> None:
    waiting = [waits(name, known=True) for name in either.has_running(number)]
    await clock.sleep_async(1 + 20 * INTERVAL)
    either.forget_run("run-3")
    await clock.sleep_async(20 * INTERVAL)
    assert [each.task.done() for each in waiting] == [index == 3 for index in range(number)]
    assert "it was deleted" in str(waiting[3].task.exception())


async def test_a_run_whose_end_was_missed_is_noticed(either: Target, clock: Clock, waits: Waits) -> None:
    waiting = [waits(name) for name in either.has_running(200)]
    await clock.sleep_async(1 + 20 * INTERVAL)
    either.ends("run-150")
    either.runs["run-150"]["end_date"] = "2026-01-01T00:00:00+00:00"  # no list of finished runs has it
    either.forget()
    await clock.sleep_async(20 * INTERVAL)
    assert [index for index, each in enumerate(waiting) if each.outcome] == [150]
    assert either.looks() == 1


async def test_a_task_whose_end_was_missed_is_noticed(either: Target, clock: Clock, waits: Waits) -> None:
    waiting = []
    for name in either.has_running(20):
        for task_id in ("load", "other"):
            either.has_task(task_id, "running", run_id=name, end_date=None)
        waiting.append(waits(name, task_ids=["load"]))
    await clock.sleep_async(1 + 20 * INTERVAL)
    either.task_ends("load", run_id="run-7")
    either._tasks["d", "run-7"][0]["end_date"] = "2026-01-01T00:00:00+00:00"
    await clock.sleep_async(10 * INTERVAL)
    assert [index for index, each in enumerate(waiting) if each.outcome] == [7]


async def test_a_run_that_goes_on_is_told(either: Target, clock: Clock, waits: Waits) -> None:
    waiting = [waits(name) for name in either.has_running(100, state="queued")]
    await clock.sleep_async(1 + 20 * INTERVAL)
    either.ends("run-50", "running")
    either.forget()
    await clock.sleep_async(10 * INTERVAL)
    assert [each.told[-1].rpartition(" ")[2] for each in waiting[49:52]] == ["queued", "running", "queued"]
    assert either.looks() == 1


async def test_runs_that_are_not_there_yet_are_checked_individually(either: Target, clock: Clock, waits: Waits) -> None:
    for name in either.has_running(100):
        waits(name)
    names = [f"later-{number}" for number in range(120)]
    waiting = [waits(name) for name in names]
    await clock.sleep_async(1 + INTERVAL)
    either.forget()
    await clock.sleep_async(ROUND_SECONDS)
    asked = [either.asked.count(f"GET {either.api(f'dags/d/dagRuns/{name}')}") for name in names]
    assert set(asked) <= {1, 2}
    assert either.looks() == 0
    # One that comes, and ends, is found as soon as it ends.
    either.has_run("later-5", "running", end_date=None)
    either.ends("later-5")
    await clock.sleep_async(INTERVAL)
    assert [index for index, each in enumerate(waiting) if each.outcome] == [5]


@pytest.mark.parametrize(("status", "tried_per_round"), [(400, 2), (403, 2), (500, 24)])
async def test_where_these_lists_fail_everybody_is_checked_individually(
    either: Target, clock: Clock, waits: Waits, status: int, tried_per_round: int
) -> None:
    def refused(seen: Seen) -> Answer:
        if "end_date_gte" in seen.json:
            return either.play(seen)
        return says(either.answers.error(status, "states: Unknown field."), status)

    either.on("POST", RUNS, refused)
    names = either.has_running(120)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(1 + INTERVAL)
    either.forget()
    await clock.sleep_async(ROUND_SECONDS + LIST_BY_DAG_SECONDS)
    assert min(either.looks(name) for name in names) >= 1
    assert 1 <= either.batches() <= 1.5 * tried_per_round + 1
    assert len(either.seen) <= 2.5 * 1.5 * POLLS_PER_ROUND
    assert {each.outcome for each in waiting} == {None}
    assert not any(each.warned for each in waiting)


async def test_a_list_that_hangs_holds_up_no_poll(target: Target, clock: Clock, waits: Waits) -> None:
    for name in target.has_running(10):
        waits(name)
        target.has_task("load", "running", run_id=name, end_date=None)
    in_time = waits("run-1")
    await clock.sleep_async(1)
    target.hanging_batches = True
    await clock.sleep_async(6 * INTERVAL)
    assert target.in_vain
    target.ends("run-1")
    await clock.sleep_async(INTERVAL)
    assert in_time.outcome == "success"


async def test_a_token_that_may_list_single_dags_only_checks_dag_by_dag(
    either: Target, clock: Clock, waits: Waits
) -> None:
    either.dags["other"] = False
    either.on("POST", RUNS, says(either.answers.error(403, "Forbidden"), 403))
    waiting = [waits(name) for name in either.has_running(60)]
    waiting += [waits(name, dag_id="other") for name in either.has_running(60, dag_id="other")]
    await clock.sleep_async(1 + 20 * INTERVAL)
    either.forget()
    either._runs.pop(("other", "run-3"))
    await clock.sleep_async(40 * INTERVAL)
    lists = [seen for seen in either.seen if seen.path.endswith("/dagRuns") and "state" in seen.query]
    assert {seen.path.split("/")[-2] for seen in lists} == {"d", "other"}
    assert len(lists) == 10
    assert waiting[63].told[-1].endswith("not there yet")
    looks = [path for path in either.asked if "/dagRuns/run-" in path]
    assert 1 <= len(looks) <= 20
    assert all(path.endswith("/other/dagRuns/run-3") for path in looks)
