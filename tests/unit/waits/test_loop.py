"""The loop of a wait: what it reports, which errors it tolerates, and when it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from astro_provider.api.errors import (
    AccessDeniedError,
    AstroError,
    TransportError,
)
from astro_provider.waits.loop import watch
from astro_provider.waits.transient import MAX_REFUSED_AT_FIRST_SECONDS, MAX_REFUSED_SECONDS
from astro_provider.waits.wait import EndStates, RunWait, Verdict
from tests.unit.scripted_target import ScriptedTarget, html_response, json_response

RUN = "dags/d/dagRuns/r"
BROKEN = TransportError("broken off")


class Log:
    """Watches a run with a target's clock, and keeps what it was told."""

    def __init__(self, target: ScriptedTarget) -> None:
        self.target = target
        self.told: list[str] = []
        self.warned: list[str] = []

    def watch(self, wait: RunWait, *, poke_interval: float = 5, timeout: float | None = None) -> Verdict:
        deadline = None if timeout is None else self.target.clock.now + timeout
        return self.target.run(
            watch(
                self.target.client(),
                wait,
                poke_interval=poke_interval,
                deadline=deadline,
                on_change=lambda verdict: self.told.append(verdict.explained),
                warn=self.warned.append,
            )
        )


BY_ID = RunWait("d", EndStates(["success"]), run_id="r")


def course(target: ScriptedTarget, *states: str | TransportError | Any) -> None:
    """Say these states of the run, one a look; what is no text is said as it is."""
    said = [json_response(target.payloads.dag_run("r", s)) if isinstance(s, str) else s for s in states]
    target.on("GET", RUN, *said)


def test_a_watch_tells_changes_only(any_target: ScriptedTarget) -> None:
    log = Log(any_target)
    course(any_target, "queued", "queued", "running", "running", "running", "success")
    assert log.watch(BY_ID, poke_interval=7).outcome == "success"
    assert [line.rpartition(": ")[2] for line in log.told] == ["queued", "running", "success"]
    assert (any_target.pauses, log.warned) == ([7] * 5, [])


def test_a_watch_that_is_too_long_ends_with_what_was_last_seen(any_target: ScriptedTarget) -> None:
    log = Log(any_target)
    course(any_target, "running")
    verdict = log.watch(BY_ID, poke_interval=5, timeout=12)
    assert (verdict.outcome, verdict.run and verdict.run["state"]) == ("pending", "running")
    assert any_target.pauses == [5, 5, 2]


def test_a_watch_without_time_looks_once(target: ScriptedTarget) -> None:
    course(target, "success")
    assert Log(target).watch(BY_ID, timeout=0).outcome == "success"
    course(target, "running")
    assert Log(target).watch(BY_ID, timeout=0).outcome == "pending"
    assert target.pauses == []


def test_a_watch_survives_trouble_in_the_middle_and_warns_once(target: ScriptedTarget) -> None:
    log = Log(target)
    down = [BROKEN] * 3, [json_response({}, 500)] * 3, [html_response("Being deployed", 200)] * 3
    for trouble in down:
        course(target, "running", *trouble, *trouble, "running", "success")
        log.warned.clear()
        assert log.watch(BY_ID).outcome == "success"
        assert len(log.warned) == 1
        assert log.warned[0].startswith("Still waiting: ")


@pytest.mark.parametrize("refusal", [json_response({}, 401), html_response("Sign in")])
def test_a_watch_that_begins_with_a_refusal_ends_with_it(target: ScriptedTarget, refusal: Any) -> None:
    log = Log(target)
    course(target, refusal)
    start = target.clock.now
    with pytest.raises(AstroError):
        log.watch(BY_ID, poke_interval=5)
    assert target.clock.now - start == MAX_REFUSED_AT_FIRST_SECONDS
    assert len(log.warned) == 1


@pytest.mark.parametrize("trouble", [BROKEN, json_response({}, 503)])
def test_a_watch_that_begins_while_the_target_is_down_waits(target: ScriptedTarget, trouble: Any) -> None:
    log = Log(target)
    course(target, *[trouble] * 500, "success")
    assert log.watch(BY_ID, poke_interval=60).outcome == "success"
    assert len(log.warned) == 1


@pytest.mark.parametrize(
    "trouble", [BROKEN, json_response({}, 503), json_response({}, 401), html_response("Being deployed")]
)
def test_a_watch_of_a_known_run_survives_trouble_at_its_beginning(target: ScriptedTarget, trouble: Any) -> None:
    """A restarted triggerer begins its watches anew, maybe while the target is being deployed."""
    log = Log(target)
    course(target, *[trouble] * 5, "success")
    assert log.watch(replace(BY_ID, must_exist=True)).outcome == "success"
    assert len(log.warned) == 1


def test_a_refusal_is_survived_for_a_while(target: ScriptedTarget) -> None:
    log = Log(target)
    course(target, "running", json_response({}, 401))
    start = target.clock.now
    with pytest.raises(AccessDeniedError):
        log.watch(BY_ID, poke_interval=60)
    assert MAX_REFUSED_SECONDS <= target.clock.now - start - 60 < MAX_REFUSED_SECONDS + 60
    assert len(log.warned) == 1


def test_a_watch_that_is_down_at_its_end_says_what_it_saw_last(target: ScriptedTarget) -> None:
    course(target, "running", BROKEN)
    assert Log(target).watch(BY_ID, timeout=30).message.endswith(": running")


@pytest.mark.parametrize("paused", [True, False])
def test_a_run_that_stays_queued_in_a_paused_dag_is_warned_of_once(any_target: ScriptedTarget, paused: bool) -> None:
    log = Log(any_target)
    course(any_target, "queued", "queued", "queued", "queued", "success")
    any_target.on("GET", "dags/d", json_response(any_target.payloads.dag(is_paused=paused)))
    assert log.watch(replace(BY_ID, must_exist=True)).outcome == "success"
    expected = f"Dag 'd' is paused in Deployment {any_target.url} (connection 'http_conn'): "
    assert log.warned == ([expected + "the run stays queued until it is unpaused."] if paused else [])
    assert any_target.calls_received.count(f"GET {any_target.api('dags/d')}") == 1


@pytest.mark.parametrize(
    ("wait", "states"),
    [(BY_ID, ["queued", "queued", "success"]), (replace(BY_ID, must_exist=True), ["queued", "running", "success"])],
)
def test_whether_the_dag_is_paused_is_not_asked_in_vain(
    target: ScriptedTarget, wait: RunWait, states: list[str]
) -> None:
    course(target, *states)
    Log(target).watch(wait)
    assert "GET /api/v2/dags/d" not in target.calls_received


def test_a_dag_that_cannot_be_asked_whether_it_is_paused_ends_no_wait(target: ScriptedTarget) -> None:
    course(target, "queued", "queued", "success")
    log = Log(target)
    assert log.watch(replace(BY_ID, must_exist=True)).outcome == "success"
    assert log.warned == []
