"""The trigger that waits for a backfill, and cancels it if a user ends its task."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import XCom
from astro_provider.tasks import task_state
from astro_provider.triggers.backfill import AstroBackfillTrigger
from astro_provider.triggers.events import EventOutcome, read_event
from astro_provider.waits.backfill import BackfillWait
from tests.unit.backfills import FAILED_RUN, FAILING
from tests.unit.fake_backfills import FROM, TO
from tests.unit.scripted_target import json_response
from tests.unit.task_runner import NOW, TaskInstance

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_backfills import FakeBackfillServer
    from tests.unit.task_runner import FakeClock


def create(airflow: FakeBackfillServer) -> BackfillWait:
    """Create a backfill with three runs."""
    backfill = airflow.has_backfill()
    for day in (2, 3, 4):
        airflow._backfill_date("d", f"2026-01-0{day}T00:00:00+00:00", "none")
    assert (backfill["from_date"], backfill["to_date"]) == (FROM, TO)
    return BackfillWait.of(backfill)  # type: ignore[arg-type]


def stored_trigger(wait: BackfillWait, **options: Any) -> AstroBackfillTrigger:
    """Create a trigger from its serialized arguments."""
    path, arguments = AstroBackfillTrigger(http_conn_id="http_conn", wait=wait, poke_interval=5, **options).serialize()
    assert path == "astro_provider.triggers.backfill.AstroBackfillTrigger"
    trigger = AstroBackfillTrigger(**json.loads(json.dumps(arguments)))
    trigger.task_instance = TaskInstance()
    return trigger


async def only_payload(trigger: AstroBackfillTrigger) -> dict[str, Any]:
    (event,) = [event async for event in trigger.run()]
    payload: dict[str, Any] = event.payload
    assert json.loads(json.dumps(payload)) == payload
    return payload


async def test_event_has_the_backfill(fake_backfills: FakeBackfillServer, log_lines: list[str]) -> None:
    payload = await only_payload(stored_trigger(create(fake_backfills)))
    event = read_event(payload)
    assert event.outcome is EventOutcome.SUCCESS
    assert payload["backfill"] == {
        **fake_backfills.backfills[0],
        "total_runs": 3,
        "succeeded_runs": 3,
        "failed_runs": [],
    }
    assert event.url == f"{fake_backfills.url}/dags/d/backfills"
    assert len([line for line in log_lines if "0 of 3 runs are over" in line]) == 1


async def test_failed_runs_are_in_the_event(fake_backfills: FakeBackfillServer) -> None:
    fake_backfills.states_by_date = FAILING
    payload = await only_payload(stored_trigger(create(fake_backfills)))
    assert payload["outcome"] == "failed"
    assert FAILED_RUN in payload["message"]


async def test_deleted_backfill_is_an_event(fake_backfills: FakeBackfillServer) -> None:
    payload = await only_payload(stored_trigger(BackfillWait("d", 7, fake_backfills.now())))
    assert (payload["outcome"], payload["error"]) == ("retryable_error", "NotFoundError")


async def test_waits_for_a_backfill_share_their_checks(fake_backfills: FakeBackfillServer) -> None:
    fake_backfills.new_run_states = ["running"] * 20 + ["success"]
    wait = create(fake_backfills)
    payloads = await asyncio.gather(*(only_payload(stored_trigger(wait)) for _ in range(30)))
    assert {payload["outcome"] for payload in payloads} == {"success"}
    lists = [each for each in fake_backfills.received if each.path.endswith("/dagRuns")]
    assert len(lists) < 30


@pytest.mark.parametrize("cancels", [True, False])
async def test_deadline_ends_the_wait(fake_backfills: FakeBackfillServer, cancels: bool) -> None:
    fake_backfills.new_run_states = ["running"]
    deadline = (NOW + timedelta(seconds=60)).timestamp()
    payload = await only_payload(stored_trigger(create(fake_backfills), deadline=deadline, cancel_on_kill=cancels))
    assert payload["outcome"] == "timeout"
    assert "0 of 3 runs are over" in payload["message"]
    assert ("\n  Cancelled: dag 'd', backfill 1, " in payload["message"]) is cancels
    assert set(fake_backfills.states().values()) == {"failed" if cancels else "running"}


@pytest.fixture
def task_is(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets the state of the waiting task, and the backfill that it waits for now."""

    def set_state(state: str | None, backfill_id: int = 1) -> None:
        def get_one(*, key: str, **_: Any) -> int:
            assert key == "backfill_id"
            return backfill_id

        monkeypatch.setattr(task_state, "CHECK_PAUSE_SECONDS", 0)
        monkeypatch.setattr(task_state, "task_state", lambda ti: state)
        monkeypatch.setattr(XCom, "get_one", staticmethod(get_one))

    return set_state


@pytest.mark.parametrize(("state", "backfill_id"), [("failed", 1), ("success", 1), ("running", 1), ("deferred", 2)])
async def test_on_kill_cancels_the_backfill_of_an_ended_task(
    fake_backfills: FakeBackfillServer,
    log_lines: list[str],
    task_is: Callable[..., None],
    state: str,
    backfill_id: int,
) -> None:
    task_is(state, backfill_id)
    fake_backfills.new_run_states = ["queued"]
    await stored_trigger(create(fake_backfills), cancel_on_kill=True).on_kill()
    assert set(fake_backfills.states().values()) == {"failed"}
    expected = "Cancelled: dag 'd', backfill 1, and 0 runs that were running in "
    assert any(line.startswith(expected) for line in log_lines)


async def test_triggerer_that_stops_cancels_nothing(
    fake_backfills: FakeBackfillServer, task_is: Callable[..., None]
) -> None:
    task_is("deferred")
    await stored_trigger(create(fake_backfills), cancel_on_kill=True).on_kill()
    assert not [each for each in fake_backfills.received if each.method == "PUT"]


async def test_cancel_on_kill_false_cancels_nothing(
    fake_backfills: FakeBackfillServer, task_is: Callable[..., None]
) -> None:
    task_is("failed")
    await stored_trigger(create(fake_backfills)).on_kill()
    assert not fake_backfills.received


async def test_trigger_that_is_cancelled_calls_on_kill_before_airflow_3_3(
    fake_backfills: FakeBackfillServer,
    clock: FakeClock,
    task_is: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from astro_provider.triggers import backfill

    monkeypatch.setattr(backfill, "triggers_have_on_kill", lambda: False)
    task_is("failed")
    fake_backfills.new_run_states = ["queued"]
    waiting = asyncio.ensure_future(only_payload(stored_trigger(create(fake_backfills), cancel_on_kill=True)))
    clock.at_sleep = lambda: None if len(clock.sleeps) < 3 else bool(waiting.cancel())  # type: ignore[assignment,return-value]
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert set(fake_backfills.states().values()) == {"failed"}


async def test_target_that_is_down_is_tolerated(fake_backfills: FakeBackfillServer, log_lines: list[str]) -> None:
    down = [json_response({"detail": "down"}, 503)] * 6
    fake_backfills.on("GET", "dags/d/dagRuns", *down, fake_backfills.stored_response)
    payload = await only_payload(stored_trigger(create(fake_backfills)))
    assert payload["outcome"] == "success"
    assert len([line for line in log_lines if line.startswith("Still waiting")]) == 1
