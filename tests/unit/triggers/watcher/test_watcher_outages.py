"""What a target that fails means for those who wait."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from astro_provider.api import poll_lists
from astro_provider.api.errors import AccessDeniedError, NotFoundError, TransportError
from astro_provider.triggers.watcher import registry
from astro_provider.triggers.watcher.check_rate import POLLS_PER_CHECK, ROUND_SECONDS
from astro_provider.triggers.watcher.checker import MAX_CHECKS_AT_ONCE, MAX_SECONDS_PAST_DEADLINE
from astro_provider.triggers.watcher.feed import OVERLAP_SECONDS
from astro_provider.waits.transient import MAX_REFUSED_SECONDS as TOLERATED_SECONDS
from astro_provider.waits.wait import EndStates
from tests.unit.scripted_target import html_response, json_response
from tests.unit.task_runner import NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.scripted_target import Script
    from tests.unit.task_runner import FakeClock


from tests.unit.triggers.watcher.watched_airflow import INTERVAL, READ_TIMEOUT, RUNS, TASKS, Waits, WatchedAirflow

# Trouble.


async def test_a_deleted_run_is_the_trouble_of_its_own_wait(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in ("theirs", "other"):
        any_airflow.has_run(name, "running", end_date=None)
    waiting, other = waits(must_exist=True), waits("other", must_exist=True)
    await clock.sleep_async(1)
    any_airflow.delete_run("theirs")
    await clock.sleep_async(2 * POLLS_PER_CHECK * INTERVAL)
    with pytest.raises(NotFoundError, match="was deleted"):
        waiting.task.result()
    assert (other.outcome, other.warned) == (None, [])


DOWN = pytest.mark.parametrize(
    "down",
    [json_response({"detail": "down"}, 503), TransportError("hung up"), html_response("Sign in"), json_response([])],
    ids=["503", "hangup", "login page", "nonsense"],
)


@DOWN
@pytest.mark.parametrize("looks_too", [True, False], ids=["all", "lists"])
async def test_a_target_that_is_down_is_survived_and_everybody_told_once(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, down: Script, looks_too: bool
) -> None:
    names = [f"run-{each}" for each in range(3)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(2 * INTERVAL + 1)
    for outage in (1, 2):
        for path in [RUNS] + [f"dags/d/dagRuns/{name}" for name in names if looks_too]:
            target.on("POST" if path == RUNS else "GET", path, down)
        await clock.sleep_async(TOLERATED_SECONDS / 2)
        assert [(len(each.warned), each.outcome) for each in waiting] == [(outage, None)] * 3
        target._scripts.clear()
        if outage == 1:
            await clock.sleep_async(10 * INTERVAL)
    assert waiting[0].warned[0].startswith("Still waiting: ")
    # What ended in the meantime is found by the first poll that is answered.
    for name in names:
        target.end_run(name)
        target.runs[name]["end_date"] = (
            datetime.now(timezone.utc) - timedelta(seconds=TOLERATED_SECONDS / 4)
        ).isoformat()
    await clock.sleep_async(2 * INTERVAL)
    assert [each.outcome for each in waiting] == ["success"] * 3


async def test_trouble_that_a_look_noticed_first_is_told_once_too(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    target.has_run("other", "running", end_date=None)
    target.has_run("theirs", "queued", end_date=None)
    other = waits("other")
    await clock.sleep_async(INTERVAL / 2)
    waiting = waits(end_states=EndStates(("running",)))
    await clock.sleep_async(INTERVAL / 2 + 1)
    for outage in (1, 2):
        target.on("GET", "dags/d/dagRuns/theirs", json_response({}, 500))
        await clock.sleep_async(INTERVAL)
        assert (len(waiting.warned), other.warned) == (outage, other.warned[: outage - 1])
        target.on("POST", RUNS, json_response({}, 500))
        await clock.sleep_async(INTERVAL)
        assert [len(each.warned) for each in (waiting, other)] == [outage, outage]
        target._scripts.clear()
        await clock.sleep_async(POLLS_PER_CHECK * INTERVAL)


async def test_a_target_in_trouble_is_asked_one_thing_per_interval(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    names = [f"run-{each}" for each in range(1000)]
    for name in (*names, "begins", "late", "old"):
        any_airflow.has_run(name, "running" if name != "begins" else "queued", end_date=None)
    waiting = [waits(name) for name in names]
    any_airflow.has_run("queued", "queued", end_date=None)
    waits("queued", must_exist=True)
    waiting += [waits("begins", end_states=EndStates(("running",))), waits("late", deadline=NOW.timestamp() + 60.5)]
    await clock.sleep_async(3 * INTERVAL + 1)
    any_airflow.down = True
    await clock.sleep_async(2 * INTERVAL)
    any_airflow.forget()
    await clock.sleep_async(20 * INTERVAL)
    assert (any_airflow.lists(), len(any_airflow.received)) == (20 - 20 / POLLS_PER_CHECK, 20)
    assert waiting.pop().outcome == "pending"

    # Who joins looks once.
    any_airflow.end_run("old")
    joined = [waits("old", must_exist=True), waits("old", must_exist=True, first_check_delay=OVERLAP_SECONDS)]
    await clock.sleep_async(20 * INTERVAL)
    assert len(any_airflow.received) == 40 + 2
    assert [len(each.warned) for each in (*waiting, *joined)] == [1] * 1003

    any_airflow.down = False
    any_airflow.end_run("begins", "running")
    for name in names[500:]:
        any_airflow.end_run(name)
    any_airflow.forget()
    await clock.sleep_async(POLLS_PER_CHECK * INTERVAL)
    assert [each.outcome for each in (*waiting, *joined)] == [None] * 500 + ["success"] * 503
    # Nor is everybody checked for that: those whose check failed meanwhile are, once more.
    assert any_airflow.looks() <= 503 + 40 / POLLS_PER_CHECK + 5 + POLLS_PER_CHECK * 1003 * INTERVAL / ROUND_SECONDS
    await clock.sleep_async(1)
    any_airflow.forget()
    await clock.sleep_async(10 * INTERVAL)
    assert any_airflow.looks() - any_airflow.looks("queued") <= 10 * 1003 * INTERVAL / ROUND_SECONDS + 1


async def test_a_deadline_is_kept_by_who_queues_for_a_look_and_by_who_gets_no_answer(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    names = [f"run-{each}" for each in range(100)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    target.hanging = {RUNS, *(f"dags/d/dagRuns/{name}" for name in names)}
    waiting = [waits(name, must_exist=True, deadline=NOW.timestamp() + 120) for name in names]
    await clock.sleep_async(119)
    assert {each.outcome for each in waiting} == {None}
    await clock.sleep_async(1 + MAX_SECONDS_PAST_DEADLINE + 0.1)
    assert {each.outcome for each in waiting} == {"pending"}


async def test_who_is_late_already_looks_once_and_is_given_time_for_that(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    target.has_run("theirs", "success")
    waiting = waits(must_exist=True, deadline=NOW.timestamp() - 60)
    await clock.sleep_async(0.1)
    assert waiting.outcome == "success"


async def test_who_queues_for_a_look_does_not_look_when_trouble_has_come(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    names = [f"run-{each}" for each in range(100)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    target.hanging = {RUNS, *(f"dags/d/dagRuns/{name}" for name in names)}
    waiting = [waits(name, must_exist=True) for name in names]
    await clock.sleep_async(10 * READ_TIMEOUT)
    looked = {url for url in target.in_vain if not url.endswith(RUNS)}
    assert len(looked) <= MAX_CHECKS_AT_ONCE + 10
    assert [len(each.warned) for each in waiting] == [1] * 100
    target.hanging.clear()
    for name in names:
        target.end_run(name)
    await clock.sleep_async(READ_TIMEOUT + 2 * POLLS_PER_CHECK * INTERVAL)
    assert {each.outcome for each in waiting} == {"success"}


async def test_a_look_that_failed_is_made_again_when_a_poll_has_worked(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in [f"run-{each}" for each in range(100)]:
        target.has_run(name, "running", end_date=None)
        waits(name)
    await clock.sleep_async(1)
    # One that no list will bring.
    target.has_run("theirs", "success")
    target.on("GET", "dags/d/dagRuns/theirs", json_response({}, 500))
    waiting = waits(must_exist=True)
    await clock.sleep_async(10 * INTERVAL)
    assert (target.looks("theirs"), waiting.outcome) == (11, None)
    target._scripts.clear()
    await clock.sleep_async(INTERVAL)
    assert (waiting.outcome, len(waiting.warned)) == ("success", 1)


async def test_lists_that_never_come_lose_nobody(any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    any_airflow.on("POST", RUNS, json_response(any_airflow.payloads.error(500, "too slow"), 500))
    names = [f"run-{each}" for each in range(5)]
    for name in names:
        any_airflow.has_run(name, "running", end_date=None)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(1)
    for name in names:
        any_airflow.end_run(name)
    await clock.sleep_async(5 * POLLS_PER_CHECK * INTERVAL)
    assert [each.outcome for each in waiting] == ["success"] * 5


@pytest.mark.parametrize("hanging", [False, True], ids=["500", "no answer"])
async def test_where_only_lists_fail_many_look_in_turn(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, hanging: bool
) -> None:
    names = [f"run-{each}" for each in range(200)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(INTERVAL + 1)
    if hanging:
        target.hanging = {RUNS}
    else:
        target.on("POST", RUNS, json_response({}, 500))
    await clock.sleep_async(2 * READ_TIMEOUT)  # until the trouble is noticed, and a look is answered
    for name in names:
        target.end_run(name)
    target.forget()
    await clock.sleep_async(10 * INTERVAL)
    assert target.looks() == 10 * MAX_CHECKS_AT_ONCE
    await clock.sleep_async(10 * INTERVAL)
    assert [each.outcome for each in waiting] == ["success"] * 200
    assert hanging or target.lists() == 20 / POLLS_PER_CHECK  # it is still tried


async def test_looks_that_are_answered_again_while_a_list_hangs_are_made_use_of(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    names = [f"run-{each}" for each in range(30)]
    for name in names:
        target.has_run(name, "running", end_date=None)
        waits(name)
    await clock.sleep_async(1)
    target.hanging = {RUNS, *(f"dags/d/dagRuns/{name}" for name in names)}
    await clock.sleep_async(READ_TIMEOUT / 4)
    waits("run-0")
    # The second list begins when the first has failed, and one look has been tried.
    await clock.sleep_async(READ_TIMEOUT * 3 / 4 + 2 * INTERVAL)
    assert len([url for url in target.in_vain if url.endswith(RUNS)]) == 2
    target.hanging = {RUNS}
    target.forget()
    # The one that joined fails, and is answered when it is sent again.
    await clock.sleep_async(READ_TIMEOUT / 4 + INTERVAL)
    assert target.looks() >= MAX_CHECKS_AT_ONCE


async def test_lists_of_tasks_that_do_not_come_are_not_the_trouble_of_runs(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    target.on("POST", TASKS, json_response({}, 500))
    others = [f"run-{each}" for each in range(20)]
    for name in (*others, "theirs"):
        target.has_run(name, "running", end_date=None)
        waits(name, task_ids=["load"])
    waiting = waits()
    await clock.sleep_async(3 * INTERVAL + 1)
    target.end_run("theirs")
    await clock.sleep_async(POLLS_PER_CHECK * INTERVAL)
    assert waiting.outcome == "success"


async def test_a_poll_that_fails_before_any_look_ends_no_wait(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    target.has_run("theirs", "running", end_date=None)
    target.on("POST", RUNS, json_response({"detail": "down"}, 500))
    waiting = waits(first_check_delay=60, must_exist=True, poke_interval=60)
    waits("none", poke_interval=2)
    await clock.sleep_async(30)
    assert (waiting.outcome, len(waiting.warned)) == (None, 1)


async def test_being_refused_for_long_is_the_end_of_everybody(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in ("one", "two"):
        target.has_run(name, "running", end_date=None)
    waiting = [waits("one"), waits("two")]
    await clock.sleep_async(INTERVAL + 1)
    target.tokens.clear()
    await clock.sleep_async(TOLERATED_SECONDS - 1)
    assert [(each.outcome, len(each.warned)) for each in waiting] == [(None, 1)] * 2
    await clock.sleep_async((POLLS_PER_CHECK + 1) * INTERVAL)
    for each in waiting:
        with pytest.raises(AccessDeniedError, match="401"):
            each.task.result()
    assert (target.connected, registry._watchers) == (0, {})


async def test_it_counts_from_when_it_began_also_for_who_looked_long_ago(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    names = [f"run-{each}" for each in range(100)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(TOLERATED_SECONDS + INTERVAL)
    tokens, target.tokens = target.tokens, set()
    for name in names:
        target.end_run(name)
    await clock.sleep_async(TOLERATED_SECONDS / 2)
    target.tokens = tokens
    await clock.sleep_async(2 * INTERVAL)
    assert [each.outcome for each in waiting] == ["success"] * 100


async def test_a_connection_that_has_another_token_now_is_read_anew(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, connect: Callable[..., None]
) -> None:
    for name in ("one", "two"):
        target.has_run(name, "running", end_date=None)
    waiting = [waits("one"), waits("two")]
    await clock.sleep_async(INTERVAL + 1)
    target.tokens = {"new-token"}
    await clock.sleep_async(10 * INTERVAL)
    connect(target.url, password="new-token")
    await clock.sleep_async(2 * INTERVAL)
    target.forget()
    await clock.sleep_async(10 * INTERVAL)
    assert (target.lists(), target.refused, target.most_connected) == (10, 0, 1)
    target.end_run("one")
    await clock.sleep_async(INTERVAL)
    assert [each.outcome for each in waiting] == ["success", None]


async def test_where_lists_across_dags_are_refused_each_dag_is_asked_for(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.dags["other"] = False
    any_airflow.on("POST", RUNS, json_response(any_airflow.payloads.error(403, "Forbidden"), 403))
    for dag_id in ("d", "other"):
        any_airflow.has_run(f"of-{dag_id}", "running", dag_id=dag_id, end_date=None)
    here, there = waits("of-d"), waits("of-other", dag_id="other")
    await clock.sleep_async(INTERVAL + 1)
    any_airflow.forget()
    await clock.sleep_async(9 * INTERVAL)
    each_dag = [
        any_airflow.calls_received.count(f"GET {any_airflow.api(f'dags/{dag_id}/dagRuns')}")
        for dag_id in ("d", "other")
    ]
    assert (any_airflow.lists(), each_dag) == (0, [9, 9])
    for waiting in (here, there):
        (warned,) = waiting.warned
        assert "may not list across dags" in warned
    late = waits("of-d")
    await clock.sleep_async(2 * INTERVAL)
    assert [len(each.warned) for each in (here, there, late)] == [1, 1, 1]
    any_airflow.end_run("of-other", dag_id="other")
    await clock.sleep_async(INTERVAL)
    assert (here.outcome, there.outcome) == (None, "success")


async def test_a_dag_that_is_refused_from_now_on_is_the_trouble_of_its_own_waits(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.dags["e"] = False
    refused = json_response(any_airflow.payloads.error(403, "Forbidden"), 403)
    any_airflow.on("POST", RUNS, refused)
    for dag_id in ("d", "e"):
        any_airflow.has_run(f"of-{dag_id}", "running", dag_id=dag_id, end_date=None)
    here, there = waits("of-d"), waits("of-e", dag_id="e")
    await clock.sleep_async(3 * INTERVAL + 1)
    for path in ("dags/e/dagRuns", "dags/e/dagRuns/of-e"):
        any_airflow.on("GET", path, refused)
    await clock.sleep_async(TOLERATED_SECONDS + 2 * POLLS_PER_CHECK * INTERVAL)
    with pytest.raises(AccessDeniedError, match="/dags/e/"):
        there.task.result()
    assert (here.outcome, [warned for warned in here.warned if "Still waiting" in warned]) == (None, [])
    assert any_airflow.closed == 0
    any_airflow.end_run("of-d")
    await clock.sleep_async(INTERVAL)
    assert here.outcome == "success"


async def test_a_defect_of_the_poll_ends_no_wait(
    target: WatchedAirflow,
    clock: FakeClock,
    waits: Waits,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("one", "two", "three"):
        target.has_run(name, "running", end_date=None)
    one, two, three = waits("one"), waits("two"), waits("three")
    await clock.sleep_async(1)
    with monkeypatch.context() as patched:
        patched.setattr(poll_lists, "finished_runs", lambda *_: {}["defect"])
        target.end_run("one")
        target.end_run("two", "failed")
        await clock.sleep_async(2 * POLLS_PER_CHECK * INTERVAL)
    assert [each.outcome for each in (one, two, three)] == ["success", "failed", None]
    assert [len(each.warned) for each in (one, two, three)] == [1, 1, 1]
    assert "KeyError: 'defect'" in caplog.text
    target.end_run("three")
    await clock.sleep_async(POLLS_PER_CHECK * INTERVAL)
    assert three.outcome == "success"
