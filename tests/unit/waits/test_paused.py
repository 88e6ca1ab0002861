"""The warning that a run stays queued because its dag is paused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.waits.paused import is_queued, paused_warning
from astro_provider.waits.wait import EndStates, RunWait, Verdict
from tests.unit.scripted_target import json_response

if TYPE_CHECKING:
    from tests.unit.scripted_target import ScriptedTarget


@pytest.mark.parametrize("paused", [True, False])
def test_warning_names_the_dag_if_it_is_paused(any_target: ScriptedTarget, paused: bool) -> None:
    any_target.on("GET", "dags/d", json_response(any_target.payloads.dag(is_paused=paused)))
    expected = f"Paused: dag 'd' in Deployment {any_target.url} (connection 'http_conn')"
    expected += "\n  The run stays queued until the dag is unpaused"
    assert any_target.run(paused_warning(any_target.client(), "d")) == (expected if paused else "")


def test_dag_that_does_not_exist_is_not_warned_of(any_target: ScriptedTarget) -> None:
    assert any_target.run(paused_warning(any_target.client(), "d")) == ""


@pytest.mark.parametrize(
    ("must_exist", "state", "expected"),
    [(True, "queued", True), (True, "running", False), (False, "queued", False), (True, None, False)],
)
def test_run_that_is_known_to_exist_can_be_queued(
    target: ScriptedTarget, must_exist: bool, state: str | None, expected: bool
) -> None:
    wait = RunWait("d", EndStates(["success"]), run_id="r", must_exist=must_exist)
    target.on("GET", "dags/d/dagRuns/r", json_response(target.payloads.dag_run("r", state or "queued")))
    run = target.run(target.client().get_dag_run("d", "r")) if state else None
    assert is_queued(wait, Verdict("pending", "", run)) is expected
