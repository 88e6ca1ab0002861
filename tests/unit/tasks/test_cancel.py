"""Cancelling a remote run: only an unfinished run, and to completion."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from astro_provider.tasks.cancel import cancel_in_triggerer, cancel_on_worker, run_to_completion
from tests.unit.scripted_target import json_response

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer

LOG = logging.getLogger("airflow.task")


@pytest.mark.parametrize(
    ("state", "end_states", "state_after"),
    [
        ("queued", (), "failed"),
        ("running", (), "failed"),
        ("success", (), "success"),
        ("running", ("running",), "running"),
    ],
)
async def test_only_an_unfinished_run_is_cancelled(
    any_airflow: FakeAirflowServer, state: str, end_states: tuple[str, ...], state_after: str
) -> None:
    for cancel_in in ("worker", "triggerer"):
        any_airflow.has_run(cancel_in, state)
        if cancel_in == "worker":
            done = await asyncio.to_thread(cancel_on_worker, "http_conn", "d", cancel_in, LOG, end_states=end_states)
        else:
            done = await cancel_in_triggerer("http_conn", "d", cancel_in, LOG, end_states=end_states)
        assert any_airflow.runs[cancel_in]["state"] == state_after
        assert f"\nRun: {cancel_in}" in done
        assert done.startswith(
            f"Cancelled: dag 'd', its run was {state} in Deployment "
            if state_after == "failed"
            else f"Not cancelled: dag 'd': it is already {state}"
        )


def test_error_of_the_target_is_logged_and_not_raised(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    any_airflow.has_run("theirs", "running")
    any_airflow.on("PATCH", "dags/d/dagRuns/theirs", json_response({"detail": "no"}, 403))
    message = cancel_on_worker("http_conn", "d", "theirs", LOG)
    assert message.startswith("Could not be cancelled: dag 'd': ")
    assert message.endswith("\nRun: theirs")
    assert message in log_lines


async def test_coroutine_runs_to_completion_although_its_caller_is_cancelled() -> None:
    may_end = asyncio.Event()

    async def wait() -> str:
        await may_end.wait()
        return "done"

    caller = asyncio.create_task(run_to_completion(wait()))
    for _ in range(3):
        await asyncio.sleep(0)
        caller.cancel()
    may_end.set()
    assert await caller == "done"


async def test_error_of_a_coroutine_that_runs_to_completion_is_raised() -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await run_to_completion(fail())
