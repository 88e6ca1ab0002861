"""The loop of a wait: what it reports, which errors it tolerates, and when it ends."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest

from astro_provider.api.errors import AccessDeniedError, AstroError, TransportError
from astro_provider.waits.loop import watch
from astro_provider.waits.transient import MAX_REFUSED_AT_FIRST_SECONDS, MAX_REFUSED_SECONDS
from astro_provider.waits.wait import EndStates, RunWait, Verdict
from tests.unit.scripted_target import ScriptedTarget, html_response, json_response

RUN = "dags/d/dagRuns/r"
BROKEN = TransportError("broken off")


class Watch:
    """
    Watches a wait with the clock of a target.

    :ivar changes: the messages of the verdicts that were reported
    :ivar warnings: the warnings
    """

    def __init__(self, target: ScriptedTarget) -> None:
        self.target = target
        self.changes: list[str] = []
        self.warnings: list[str] = []

    def run(self, wait: RunWait, *, poke_interval: float = 5, timeout: float | None = None) -> Verdict:
        deadline = None if timeout is None else self.target.clock.now + timeout
        return self.target.run(
            watch(
                self.target.client(),
                wait,
                poke_interval=poke_interval,
                deadline=deadline,
                on_change=lambda verdict: self.changes.append(verdict.explained),
                warn=self.warnings.append,
            )
        )


WAIT = RunWait("d", EndStates(["success"]), run_id="r")


def script_checks(target: ScriptedTarget, *states: str | TransportError | Any) -> None:
    """Respond to the checks with these states of the run; a response or an error is used as it is."""
    responses = [json_response(target.payloads.dag_run("r", s)) if isinstance(s, str) else s for s in states]
    target.on("GET", RUN, *responses)


def test_watch_reports_only_changes(any_target: ScriptedTarget) -> None:
    watched = Watch(any_target)
    script_checks(any_target, "queued", "queued", "running", "running", "running", "success")
    assert watched.run(WAIT, poke_interval=7).outcome == "success"
    assert [line.partition(": ")[0] for line in watched.changes] == ["Queued", "Running", "Success"]
    assert (any_target.pauses, watched.warnings) == ([1] * 5, [])


def test_watch_ends_at_its_deadline_with_the_last_verdict(any_target: ScriptedTarget) -> None:
    watched = Watch(any_target)
    script_checks(any_target, "running")
    verdict = watched.run(WAIT, poke_interval=5, timeout=12)
    assert (verdict.outcome, verdict.run and verdict.run["state"]) == ("pending", "running")
    assert any_target.pauses == pytest.approx([1] * 10 + [1.0, 1.0])


def test_interval_of_checks_follows_the_age_of_the_wait(any_target: ScriptedTarget) -> None:
    script_checks(any_target, *["running"] * 100, "success")
    Watch(any_target).run(WAIT, poke_interval=20)
    assert any_target.pauses[:10] == [1] * 10
    assert any_target.pauses[-1] == 20
    ages = accumulate(any_target.pauses)
    assert all(1 <= pause <= max(1, age / 10) + 1e-6 for pause, age in zip(any_target.pauses[1:], ages, strict=False))


def test_watch_without_time_checks_once(target: ScriptedTarget) -> None:
    script_checks(target, "success")
    assert Watch(target).run(WAIT, timeout=0).outcome == "success"
    script_checks(target, "running")
    assert Watch(target).run(WAIT, timeout=0).outcome == "pending"
    assert target.pauses == []


def test_watch_tolerates_transient_errors_with_one_warning(target: ScriptedTarget) -> None:
    watched = Watch(target)
    outages = [BROKEN] * 3, [json_response({}, 500)] * 3, [html_response("Being deployed", 200)] * 3
    for outage in outages:
        script_checks(target, "running", *outage, *outage, "running", "success")
        watched.warnings.clear()
        assert watched.run(WAIT).outcome == "success"
        error, answer = watched.warnings
        assert error.startswith("Still waiting: dag 'd': ")
        assert answer.startswith("Target answers again: dag 'd' in Deployment ")


@pytest.mark.parametrize("refusal", [json_response({}, 401), html_response("Sign in")])
def test_watch_that_begins_with_refusals_ends_after_a_minute(target: ScriptedTarget, refusal: Any) -> None:
    watched = Watch(target)
    script_checks(target, refusal)
    start = target.clock.now
    with pytest.raises(AstroError):
        watched.run(WAIT, poke_interval=5)
    assert MAX_REFUSED_AT_FIRST_SECONDS <= target.clock.now - start <= MAX_REFUSED_AT_FIRST_SECONDS + 5
    assert len(watched.warnings) == 1


@pytest.mark.parametrize("error", [BROKEN, json_response({}, 503)])
def test_watch_that_begins_during_an_outage_continues(target: ScriptedTarget, error: Any) -> None:
    watched = Watch(target)
    script_checks(target, *[error] * 500, "success")
    assert watched.run(WAIT, poke_interval=60).outcome == "success"
    assert len(watched.warnings) == 2, "the error, and the answer"


@pytest.mark.parametrize(
    "error", [BROKEN, json_response({}, 503), json_response({}, 401), html_response("Being deployed")]
)
def test_watch_of_a_run_that_must_exist_tolerates_refusals_at_its_beginning(target: ScriptedTarget, error: Any) -> None:
    """A restarted triggerer begins its waits again, possibly while the target is being deployed."""
    watched = Watch(target)
    script_checks(target, *[error] * 5, "success")
    assert watched.run(replace(WAIT, must_exist=True)).outcome == "success"
    assert len(watched.warnings) == 2, "the error, and the answer"


def test_refusals_are_tolerated_for_ten_minutes(target: ScriptedTarget) -> None:
    watched = Watch(target)
    script_checks(target, "running", json_response({}, 401))
    start = target.clock.now
    with pytest.raises(AccessDeniedError):
        watched.run(WAIT, poke_interval=60)
    assert MAX_REFUSED_SECONDS <= target.clock.now - start - 1 < MAX_REFUSED_SECONDS + 60
    assert len(watched.warnings) == 1


def test_watch_that_ends_during_an_outage_has_the_last_verdict(target: ScriptedTarget) -> None:
    script_checks(target, "running", BROKEN)
    assert Watch(target).run(WAIT, timeout=30).message.startswith("Running: dag 'd' in ")


@pytest.mark.parametrize("paused", [True, False])
def test_run_that_stays_queued_in_a_paused_dag_is_warned_of_once(any_target: ScriptedTarget, paused: bool) -> None:
    watched = Watch(any_target)
    script_checks(any_target, *["queued"] * 20, "success")
    any_target.on("GET", "dags/d", json_response(any_target.payloads.dag(is_paused=paused)))
    assert watched.run(replace(WAIT, must_exist=True)).outcome == "success"
    expected = f"Paused: dag 'd' in Deployment {any_target.url} (connection 'http_conn')"
    assert [line.splitlines()[0] for line in watched.warnings] == ([expected] if paused else [])
    assert any_target.calls_received.count(f"GET {any_target.api('dags/d')}") == 1


def test_run_that_is_queued_for_a_few_seconds_costs_no_request_for_its_dag(any_target: ScriptedTarget) -> None:
    script_checks(any_target, *["queued"] * 4, *["running"] * 20, "success")
    assert Watch(any_target).run(replace(WAIT, must_exist=True)).outcome == "success"
    assert any_target.calls_received.count(f"GET {any_target.api('dags/d')}") == 0


@pytest.mark.parametrize(
    ("wait", "states"),
    [(WAIT, ["queued", "queued", "success"]), (replace(WAIT, must_exist=True), ["queued", "running", "success"])],
)
def test_pause_is_checked_only_for_a_run_that_must_exist_and_stays_queued(
    target: ScriptedTarget, wait: RunWait, states: list[str]
) -> None:
    script_checks(target, *states)
    Watch(target).run(wait)
    assert "GET /api/v2/dags/d" not in target.calls_received


def test_unknown_dag_does_not_end_the_wait_for_its_queued_run(target: ScriptedTarget) -> None:
    script_checks(target, "queued", "queued", "success")
    watched = Watch(target)
    assert watched.run(replace(WAIT, must_exist=True)).outcome == "success"
    assert watched.warnings == []
