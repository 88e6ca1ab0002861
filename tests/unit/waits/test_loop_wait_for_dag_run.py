"""Waiting for one dag run, as ``AstroHook.wait_for_dag_run`` does."""

from __future__ import annotations

from typing import Any

import pytest

from astro_provider.api.errors import (
    AccessDeniedError,
    AstroError,
    NotFoundError,
    TransportError,
    WaitTimeoutError,
)
from astro_provider.waits.loop import wait_for_dag_run
from tests.unit.scripted_target import ScriptedTarget, json_response

RUN = "dags/d/dagRuns/r"


def client_of(target: ScriptedTarget) -> Any:
    return target.client(api_version=target.api_version)


def wait(target: ScriptedTarget, *states: Any, timeout: float | None = None, poke_interval: float = 5) -> Any:
    responses = [json_response(target.payloads.dag_run("r", s)) if isinstance(s, str) else s for s in states]
    target.on("GET", RUN, *responses)
    changes: list[str] = []
    warnings: list[str] = []
    flow = wait_for_dag_run(
        client_of(target),
        "d",
        "r",
        poke_interval=poke_interval,
        timeout=timeout,
        log=lambda line: changes.append(line.partition(": dag 'd' in ")[0].lower()),
        warn=warnings.append,
    )
    return target.run(flow), changes, warnings


@pytest.mark.parametrize("end", ["success", "failed"])
def test_wait_ends_with_success_and_failure(any_target: ScriptedTarget, end: str) -> None:
    run, changes, warnings = wait(any_target, "queued", "running", "running", end)
    assert (run["state"], changes, warnings) == (end, ["queued", "running", end], [])
    assert any_target.pauses == [1, 1, 1]


def test_wait_tolerates_transient_errors(target: ScriptedTarget) -> None:
    broken = TransportError("broken off")
    run, changes, warnings = wait(target, "running", *[broken] * 7, "success")
    assert (run["state"], changes) == ("success", ["running", "success"])
    error, answer = warnings
    assert error == "Still waiting: dag 'd': broken off"
    assert answer.startswith("Target answers again: dag 'd' in ")


@pytest.mark.parametrize(
    ("states", "error"),
    [
        ([json_response({}, 401)], AccessDeniedError),
        (["running", json_response({}, 404)], NotFoundError),
    ],
)
def test_wait_ends_with_a_permanent_error(target: ScriptedTarget, states: list[Any], error: type[AstroError]) -> None:
    with pytest.raises(error):
        wait(target, *states)


def test_wait_ends_with_an_error_at_its_timeout(any_target: ScriptedTarget) -> None:
    with pytest.raises(
        WaitTimeoutError, match=r"^Timed out after 12 s: dag 'd' in .*\n  Last seen: Running\n"
    ) as caught:
        wait(any_target, "queued", "running", timeout=12)
    assert sum(any_target.pauses) == 12
    assert str(caught.value).endswith(f"\nRun: r\n{client_of(any_target).run_url('d', 'r')}")
