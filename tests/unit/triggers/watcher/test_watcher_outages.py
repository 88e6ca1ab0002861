"""Waits while the target does not respond, or refuses requests."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from astro_provider.api.errors import AccessDeniedError, NotFoundError, TransportError
from astro_provider.triggers.watcher import registry
from astro_provider.triggers.watcher.periodic_check_rate import POLLS_PER_CHECK, ROUND_SECONDS
from astro_provider.waits.transient import MAX_REFUSED_SECONDS as TOLERATED_SECONDS
from astro_provider.waits.wait import EndStates
from tests.unit.scripted_target import html_response, json_response
from tests.unit.task_runner import NOW

if TYPE_CHECKING:
    from tests.unit.scripted_target import Script
    from tests.unit.task_runner import FakeClock


from tests.unit.triggers.watcher.watched_airflow import INTERVAL, RUNS, Waits, WatchedAirflow


async def test_deleted_run_fails_only_its_waits(any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
    for name in ("theirs", "other"):
        any_airflow.has_run(name, "running", end_date=None)
    waiting, other = waits(must_exist=True), waits("other", must_exist=True)
    await clock.sleep_async(1)
    any_airflow.delete_run("theirs")
    await clock.sleep_async(2 * POLLS_PER_CHECK * INTERVAL)
    with pytest.raises(NotFoundError, match=r"^Deleted: dag 'd', its run is gone in "):
        waiting.task.result()
    assert (other.outcome, other.warnings) == (None, [])


DOWN = pytest.mark.parametrize(
    "down",
    [json_response({"detail": "down"}, 503), TransportError("hung up"), html_response("Sign in"), json_response([])],
    ids=["503", "hangup", "login page", "nonsense"],
)


@DOWN
@pytest.mark.parametrize("checks_fail", [True, False], ids=["all", "lists"])
async def test_outage_is_tolerated_and_each_wait_warns_once(
    target: WatchedAirflow, clock: FakeClock, waits: Waits, down: Script, checks_fail: bool
) -> None:
    names = [f"run-{each}" for each in range(3)]
    for name in names:
        target.has_run(name, "running", end_date=None)
    waiting = [waits(name) for name in names]
    await clock.sleep_async(2 * INTERVAL + 1)
    for outage in (1, 2):
        for path in [RUNS] + [f"dags/d/dagRuns/{name}" for name in names if checks_fail]:
            target.on("POST" if path == RUNS else "GET", path, down)
        await clock.sleep_async(TOLERATED_SECONDS / 2)
        assert [(len(each.warnings), each.outcome) for each in waiting] == [(outage, None)] * 3
        target._scripts.clear()
        if outage == 1:
            await clock.sleep_async(10 * INTERVAL)
            assert [len(each.answers) for each in waiting] == [1] * 3
    assert waiting[0].warnings[0].startswith("Still waiting: dag 'd': ")
    assert waiting[0].answers[0].startswith("Target answers again: dag 'd' in Deployment ")
    # The first list that succeeds shows what finished during the outage.
    for name in names:
        target.end_run(name)
        target.runs[name]["end_date"] = (
            datetime.now(timezone.utc) - timedelta(seconds=TOLERATED_SECONDS / 4)
        ).isoformat()
    await clock.sleep_async(2 * INTERVAL)
    assert [each.outcome for each in waiting] == ["success"] * 3


async def test_outage_that_a_check_finds_first_is_warned_of_once(
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
        assert (len(waiting.warnings), other.warnings) == (outage, other.warnings[: outage - 1])
        target.on("POST", RUNS, json_response({}, 500))
        await clock.sleep_async(INTERVAL)
        assert [len(each.warnings) for each in (waiting, other)] == [outage, outage]
        target._scripts.clear()
        await clock.sleep_async(POLLS_PER_CHECK * INTERVAL)


async def test_target_that_is_down_gets_one_request_per_interval(
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
    any_airflow.is_down = True
    await clock.sleep_async(2 * INTERVAL)
    any_airflow.reset_counts()
    await clock.sleep_async(20 * INTERVAL)
    assert (any_airflow.list_count(), len(any_airflow.received)) == (20 - 20 / POLLS_PER_CHECK, 20)
    assert waiting.pop().outcome == "pending"

    # A wait that joins is checked once.
    any_airflow.end_run("old")
    joined = waits("old", must_exist=True)
    await clock.sleep_async(20 * INTERVAL)
    assert len(any_airflow.received) == 40 + 1
    assert [len(each.warnings) for each in (*waiting, joined)] == [1] * 1002

    any_airflow.is_down = False
    any_airflow.end_run("begins", "running")
    for name in names[500:]:
        any_airflow.end_run(name)
    any_airflow.reset_counts()
    await clock.sleep_async(POLLS_PER_CHECK * INTERVAL)
    assert [each.outcome for each in (*waiting, joined)] == [None] * 500 + ["success"] * 502
    # Only the waits whose check failed are checked again, not all waits.
    periodic_checks = POLLS_PER_CHECK * 1002 * INTERVAL / ROUND_SECONDS
    assert any_airflow.check_count() <= 502 + 40 / POLLS_PER_CHECK + 5 + periodic_checks
    await clock.sleep_async(1)
    any_airflow.reset_counts()
    await clock.sleep_async(10 * INTERVAL)
    assert any_airflow.check_count() - any_airflow.check_count("queued") <= 10 * 1002 * INTERVAL / ROUND_SECONDS + 1


async def test_waits_end_although_every_list_fails(any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
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


async def test_failing_poll_before_the_first_check_warns_but_ends_no_wait(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    target.has_run("theirs", "running", end_date=None)
    target.on("POST", RUNS, json_response({"detail": "down"}, 500))
    waiting = waits(run=target.seen("theirs"), must_exist=True, poke_interval=60)
    waits("none", poke_interval=2)
    await clock.sleep_async(30)
    assert (waiting.outcome, len(waiting.warnings)) == (None, 1)


async def test_token_refused_for_too_long_ends_every_wait(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    for name in ("one", "two"):
        target.has_run(name, "running", end_date=None)
    waiting = [waits("one"), waits("two")]
    await clock.sleep_async(INTERVAL + 1)
    target.tokens.clear()
    await clock.sleep_async(TOLERATED_SECONDS - 1)
    assert [(each.outcome, len(each.warnings)) for each in waiting] == [(None, 1)] * 2
    await clock.sleep_async((POLLS_PER_CHECK + 1) * INTERVAL)
    for each in waiting:
        with pytest.raises(AccessDeniedError, match="401"):
            each.task.result()
    assert (target.open_sessions, registry._watchers) == (0, {})


async def test_time_of_refusals_counts_from_the_first_one_not_from_the_last_check(
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


async def test_each_dag_is_listed_if_lists_across_dags_are_refused(
    any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    any_airflow.dags["other"] = False
    any_airflow.on("POST", RUNS, json_response(any_airflow.payloads.error(403, "Forbidden"), 403))
    for dag_id in ("d", "other"):
        any_airflow.has_run(f"of-{dag_id}", "running", dag_id=dag_id, end_date=None)
    here, there = waits("of-d"), waits("of-other", dag_id="other")
    await clock.sleep_async(INTERVAL + 1)
    any_airflow.reset_counts()
    await clock.sleep_async(9 * INTERVAL)
    each_dag = [
        any_airflow.calls_received.count(f"GET {any_airflow.api(f'dags/{dag_id}/dagRuns')}")
        for dag_id in ("d", "other")
    ]
    assert (any_airflow.list_count(), each_dag) == (0, [9, 9])
    for waiting in (here, there):
        (warning,) = waiting.warnings
        assert "may not list across dags" in warning
    late = waits("of-d")
    await clock.sleep_async(2 * INTERVAL)
    assert [len(each.warnings) for each in (here, there, late)] == [1, 1, 1]
    any_airflow.end_run("of-other", dag_id="other")
    await clock.sleep_async(INTERVAL)
    assert (here.outcome, there.outcome) == (None, "success")


async def test_forbidden_dag_fails_only_its_waits(any_airflow: WatchedAirflow, clock: FakeClock, waits: Waits) -> None:
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
    assert (here.outcome, [warning for warning in here.warnings if "Still waiting" in warning]) == (None, [])
    assert any_airflow.closed_sessions == 0
    any_airflow.end_run("of-d")
    await clock.sleep_async(INTERVAL)
    assert here.outcome == "success"


async def test_scheduled_checks_are_postponed_while_the_target_is_down(
    target: WatchedAirflow, clock: FakeClock, waits: Waits
) -> None:
    target.has_run("first", "running", end_date=None)
    waits("first")
    await clock.sleep_async(2)
    for name in target.has_runs(20, state="queued"):
        waits(name, end_states=EndStates(("running",)))
    await clock.sleep_async(INTERVAL + 1)
    target.is_down = True
    target.reset_counts()
    # The poll after 10 seconds fails. The checks are scheduled for 12 seconds.
    await clock.sleep_async(INTERVAL + 1)
    assert len(target.received) <= 2
