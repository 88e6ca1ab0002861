"""Waiting in the triggerer: one event, whatever happens."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.transient import MAX_REFUSED_SECONDS as PATIENCE
from astro_provider.triggers.dag_run import SETTLING, AstroDagRunTrigger
from tests.unit.server import HANGUP
from tests.unit.target import TOKEN, page, says
from tests.unit.task_runner import NOW

if TYPE_CHECKING:
    from tests.unit.target_stub import PlayedServer
    from tests.unit.task_runner import Clock

RUN = "dags/d/dagRuns/theirs"


def trigger(**options: Any) -> AstroDagRunTrigger:
    return AstroDagRunTrigger(
        **{"http_conn_id": "http_conn", "external_dag_id": "d", "external_run_id": "theirs", **options}
    )


async def event(waiting: AstroDagRunTrigger) -> dict[str, Any]:
    """Run a trigger; it must yield one event, of what can be stored."""
    (only,) = [event async for event in waiting.run()]
    payload: dict[str, Any] = only.payload
    assert json.loads(json.dumps(payload)) == payload
    return payload


async def test_it_tells_of_success(either: PlayedServer, clock: Clock) -> None:
    either.has_run("theirs", "running")
    clock.at_sleep = lambda: either.ends("theirs") if len(clock.sleeps) == 3 else None
    told = await event(trigger(poke_interval=19))
    assert (told["outcome"], told["run"]["dag_run_id"], told["run"]["state"]) == ("success", "theirs", "success")
    assert told["url"].startswith(f"{either.url}/dags/d/")
    assert clock.sleeps == [19, 19, 19]


@pytest.mark.parametrize(("poke_interval", "after"), [(1, SETTLING), (3, SETTLING), (60, 60)])
async def test_it_is_not_resumed_before_airflow_has_heard_of_its_deferral(
    remote: PlayedServer, clock: Clock, poke_interval: float, after: float
) -> None:
    remote.has_run("theirs", "running")
    clock.at_sleep = lambda: remote.ends("theirs") if len(clock.sleeps) == 1 else None  # the poll hears of it
    assert (await event(trigger(poke_interval=poke_interval)))["outcome"] == "success"
    assert datetime.now(timezone.utc).timestamp() - NOW.timestamp() == after


async def test_it_tells_of_failure(either: PlayedServer) -> None:
    either.has_run("theirs", "running", "failed")
    either.has_task("extract", "failed", run_id="theirs", log=either.answers.log())
    told = await event(trigger())
    assert told["outcome"] == "failed"
    assert "extract (try 1): ValueError: no rows" in told["message"]


async def test_it_tells_of_what_is_to_be_skipped(either: PlayedServer) -> None:
    either.has_run("theirs", "running", "failed")
    assert (await event(trigger(failed_states=[], skipped_states=["failed"])))["outcome"] == "skipped"


async def test_it_waits_for_logical_dates(either: PlayedServer) -> None:
    either.has_run("one", "success", logical_date="2026-02-01T06:00:00Z")
    either.has_run("two", "running", "success", logical_date="2026-02-01T07:00:00Z")
    dates = ["2026-02-01T06:00:00+00:00", "2026-02-01T07:00:00+00:00"]
    assert (await event(trigger(external_run_id=None, logical_dates=dates)))["outcome"] == "success"


async def test_it_waits_for_the_newest(remote: PlayedServer) -> None:
    remote.has_run("one", "failed", run_after="2026-01-01T00:00:00Z")
    remote.has_run("two", "success", run_after="2026-01-02T00:00:00Z")
    assert (await event(trigger(external_run_id=None, latest=True)))["run"]["dag_run_id"] == "two"


async def test_it_waits_for_tasks(either: PlayedServer) -> None:
    either.has_run("theirs", "failed")
    either.has_task("load", "success", run_id="theirs")
    assert (await event(trigger(external_task_ids=["load"])))["outcome"] == "success"


async def test_it_waits_for_a_group(either: PlayedServer) -> None:
    either.has_run("theirs", "failed")
    either.groups = {"etl": ["etl.load"]}
    either.has_task("etl.load", "success", run_id="theirs")
    assert (await event(trigger(external_task_group_id="etl")))["outcome"] == "success"


async def test_it_looks_for_existence_when_told_so(either: PlayedServer) -> None:
    told = await event(trigger(external_dag_id="none", check_existence=True))
    assert (told["outcome"], told["retryable"]) == ("error", True)
    assert "has no dag 'none'" in told["message"]


async def test_it_gives_up_at_its_deadline(either: PlayedServer, clock: Clock) -> None:
    either.has_run("theirs", "running")
    told = await event(trigger(poke_interval=25, deadline=NOW.timestamp() + 60))
    assert (told["outcome"], clock.sleeps) == ("timeout", [25, 25, 10])
    assert told["message"].endswith("running")


async def test_it_gives_up_at_its_deadline_though_there_was_nothing(either: PlayedServer) -> None:
    told = await event(trigger(deadline=NOW.timestamp() + 60))
    assert (told["outcome"], told["run"], told["url"]) == ("timeout", None, None)


async def test_a_deleted_run_that_was_known_ends_the_wait(either: PlayedServer, clock: Clock) -> None:
    either.has_run("theirs", "running")
    clock.at_sleep = lambda: either.forget_run("theirs") if either.runs else None
    told = await event(trigger(known=True))
    assert (told["outcome"], told["retryable"]) == ("error", True)
    assert "it was deleted" in told["message"]


async def test_it_says_when_the_state_changes_and_only_then(either: PlayedServer, lines: list[str]) -> None:
    either.has_run("theirs", "queued", "queued", "running", "running", "success")
    await event(trigger())
    told = [line.rpartition(": ")[2] for line in lines if line.startswith("run 'theirs'")]
    assert told == ["queued", "running"]  # how it ended, the task itself says


# Trouble: an event too, as a trigger that raises tells the task nothing.


@pytest.mark.parametrize(
    ("answer", "retryable", "message"),
    [
        (says({"detail": "no"}, 403), False, "refused"),
        (page("Sign in"), True, "no Airflow REST API"),
    ],
    ids=["403", "page"],
)
async def test_trouble_that_lasts_is_told(remote: PlayedServer, answer: Any, retryable: bool, message: str) -> None:
    remote.on("GET", RUN, answer)
    told = await event(trigger())
    assert (told["outcome"], told["retryable"], told["run"]) == ("error", retryable, None)
    assert message in told["message"]
    assert TOKEN not in told["message"]


@pytest.mark.parametrize("answer", [HANGUP, says([]), says({"detail": "down"}, 503)], ids=["hangup", "list", "503"])
async def test_trouble_that_passes_is_survived_from_the_first_look_on(remote: PlayedServer, answer: Any) -> None:
    remote.has_run("theirs", "success")
    # The worker has just been answered, so the target is there.
    remote.on("GET", RUN, *[answer] * 12, remote.play)
    assert (await event(trigger()))["outcome"] == "success"


async def test_no_such_connection_is_told(remote: PlayedServer) -> None:
    told = await event(trigger(http_conn_id="elsewhere"))
    assert (told["outcome"], told["retryable"]) == ("error", True)
    assert "'elsewhere'" in told["message"]


async def test_later_trouble_is_survived(remote: PlayedServer, lines: list[str]) -> None:
    remote.has_run("theirs", "running", "success")
    remote.on("GET", RUN, remote.play, *[says({"detail": "down"}, 503)] * 9, remote.play)
    assert (await event(trigger()))["outcome"] == "success"
    assert len([line for line in lines if line.startswith("Still waiting")]) == 1


async def test_being_refused_is_survived_for_a_while(remote: PlayedServer, clock: Clock) -> None:
    remote.has_run("theirs", "running")
    remote.on("GET", RUN, remote.play, says({"detail": "no"}, 403))
    assert (await event(trigger(poke_interval=60)))["outcome"] == "error"
    # The first look is after 60 seconds, and the next is the first one to be refused.
    assert PATIENCE + 120 <= sum(clock.sleeps) <= PATIENCE + 240


# Serialised.


def test_it_can_be_made_again() -> None:
    options: dict[str, Any] = {
        "http_conn_id": "c",
        "external_dag_id": "d",
        "external_run_id": None,
        "logical_dates": ("2026-02-01T06:00:00+00:00",),
        "latest": True,
        "external_task_ids": ("t",),
        "external_task_group_id": "g",
        "allowed_states": ("success", "skipped"),
        "failed_states": ("removed",),
        "skipped_states": ("none",),
        "check_existence": True,
        "known": True,
        "poke_interval": 1.5,
        "deadline": 5.0,
        "cancel_on_kill": True,
    }
    path, arguments = AstroDagRunTrigger(**options).serialize()
    stored = json.loads(json.dumps(arguments))
    again = AstroDagRunTrigger(**stored)
    assert path == "astro_provider.triggers.dag_run.AstroDagRunTrigger"
    assert again.serialize() == (path, stored)
    assert {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()} == options


def test_its_arguments_are_those_of_the_class() -> None:
    _, arguments = trigger().serialize()
    assert set(arguments) == set(AstroDagRunTrigger.__init__.__annotations__) - {"return"}
