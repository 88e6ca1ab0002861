"""The waits that the watcher wakes because their dag might be idle."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest

from astro_provider.api.errors import AccessDeniedError, TargetUnavailableError
from astro_provider.triggers.watcher.idle_dags import MAX_LISTS_PER_POLL, MAX_PAUSE_SECONDS, IdleDags
from astro_provider.triggers.watcher.polled_waits import MAX_DAGS_LISTED_PER_POLL, RETRY_LIST_SECONDS
from astro_provider.triggers.watcher.subscription import Subscription
from astro_provider.waits.wait import EndStates, RunWait, Verdict
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import json_response
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, RUNS, TASKS


@dataclass
class PolledDags:
    """A feed, its target, and a clock that the test moves."""

    target: FakeAirflow
    now: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.dags = IdleDags(lambda: self.now)
        self.client = self.target.client(api_version=self.target.api_version)

    def join(self, dag_id: str) -> Subscription:
        subscription = Subscription(
            RunWait(dag_id, EndStates(["success"]), idle=True),
            poke_interval=INTERVAL,
            deadline=None,
            started_at=None,
            clock=lambda: self.now,
            on_change=lambda _: None,
            warn=lambda _: None,
        )
        self.dags.join(subscription)
        return subscription

    def poll(self) -> set[Subscription]:
        self.target.received.clear()
        self.now += INTERVAL
        return self.dags.note_idle(self.target.run(self.dags.find_idle(self.client)))

    def is_busy(self, dag_id: str, *, paused: bool = False) -> None:
        self.target.dags[dag_id] = paused
        self.target.has_run("r", "running", dag_id=dag_id)
        self.target.has_task("t", "running", run_id="r", dag_id=dag_id)

    def is_idle(self, dag_id: str) -> None:
        self.target.end_task("t", run_id="r", dag_id=dag_id)
        self.target.end_run("r", dag_id=dag_id)

    def refuses_lists(self) -> None:
        for path in (TASKS, RUNS):
            self.target.on("POST", path, json_response(self.target.payloads.error(403, "Forbidden"), 403))


@pytest.fixture(params=["v1", "v2"])
def polled(request: pytest.FixtureRequest) -> PolledDags:
    target = FakeAirflow(request.param)
    target.dags = {}
    return PolledDags(target)


def checked(subscription: Subscription, outcome: str) -> None:
    subscription.progress.last = Verdict(outcome, "")  # type: ignore[arg-type]


def test_wait_is_woken_when_its_dag_is_idle(polled: PolledDags) -> None:
    for dag_id in ("one", "two"):
        polled.is_busy(dag_id)
    one, two = polled.join("one"), polled.join("two")
    assert polled.poll() == set()
    assert len(polled.target.received) == 1
    polled.is_idle("one")
    assert polled.poll() == {one}
    polled.dags.leave(one)
    polled.is_idle("two")
    assert polled.poll() == {two}


def test_paused_dag_is_idle_although_its_run_goes_on(polled: PolledDags) -> None:
    polled.is_busy("d", paused=True)
    wait = polled.join("d")
    assert polled.poll() == set()
    polled.target.end_task("t", run_id="r", dag_id="d")
    assert polled.poll() == {wait}
    polled.target.dags["d"] = False
    polled.poll()
    polled.now += MAX_PAUSE_SECONDS
    assert polled.poll() == set()


def test_one_of_many_waits_for_a_dag_is_woken_and_wakes_the_others(polled: PolledDags) -> None:
    polled.is_busy("d")
    first, *others = [polled.join("d") for _ in range(1000)]
    polled.is_idle("d")
    assert polled.poll() == {first}
    checked(first, "pending")
    polled.dags.note_check(first)
    assert not any(each.woken.is_set() for each in others)
    checked(first, "success")
    polled.dags.note_check(first)
    assert all(each.woken.is_set() for each in others)
    assert not first.woken.is_set()


def test_wait_whose_check_finds_no_idle_dag_is_woken_less_and_less_often(polled: PolledDags) -> None:
    wait = polled.join("missing")
    polls = [number for number in range(int(1000 / INTERVAL)) if polled.poll() == {wait}]
    assert polls[:4] == [0, 1, 3, 7]
    assert polls[-1] - polls[-2] == MAX_PAUSE_SECONDS / INTERVAL


def test_pause_is_forgotten_when_the_dag_is_busy_again(polled: PolledDags) -> None:
    polled.is_busy("d")
    wait = polled.join("d")
    polled.is_idle("d")
    assert [polled.poll() for _ in range(3)] == [{wait}, {wait}, set()]
    polled.is_busy("d")
    assert [polled.poll() for _ in range(2)] == [set(), set()]
    polled.target._tasks.clear()
    polled.is_idle("d")
    assert polled.poll() == {wait}


@pytest.mark.parametrize("number_of_dags", [1, 1000])
@pytest.mark.parametrize("state", ["busy", "paused and busy", "queued", "between tasks"])
def test_polls_of_a_thousand_waits_take_three_requests_at_most(
    polled: PolledDags, state: str, number_of_dags: int
) -> None:
    dag_ids = [f"dag-{number:04}" for number in range(number_of_dags)]
    for dag_id in dag_ids:
        polled.target.dags[dag_id] = state == "paused and busy"
        polled.target.has_run("r", "queued" if state == "queued" else "running", dag_id=dag_id)
        if "busy" in state:
            polled.target.has_task("t", "running", run_id="r", dag_id=dag_id)
    for number in range(1000):
        polled.join(dag_ids[number % number_of_dags])
    last_wait = polled.join(dag_ids[-1])
    for _ in range(10):
        assert polled.poll() == set()
        assert len(polled.target.received) <= MAX_LISTS_PER_POLL
    first_wait = next(iter(polled.dags._waits_by_dag[dag_ids[-1]]))
    polled.target._tasks.pop((dag_ids[-1], "r"), None)
    polled.target.end_run("r", dag_id=dag_ids[-1])
    found = set()
    for _ in range(10):  # two rounds of 15 requests
        found |= polled.poll()
    assert found == {first_wait}
    assert last_wait in polled.dags.subscriptions


def test_dags_are_listed_one_by_one_if_lists_across_dags_are_refused(polled: PolledDags) -> None:
    waits = {}
    for number in range(25):
        dag_id = f"dag-{number:02}"
        polled.is_busy(dag_id)
        waits[dag_id] = polled.join(dag_id)
    polled.refuses_lists()
    assert polled.poll() == set()
    assert len(polled.target.received) == 1 + MAX_DAGS_LISTED_PER_POLL
    assert polled.dags.lists_by_dag
    polled.is_idle("dag-24")
    found = set()
    for _ in range(2):
        found |= polled.poll()
        assert len(polled.target.received) == MAX_DAGS_LISTED_PER_POLL
    assert found == {waits["dag-24"]}
    polled.target._scripts.clear()
    polled.now += RETRY_LIST_SECONDS
    polled.poll()
    assert not polled.dags.lists_by_dag


def test_dag_that_is_forbidden_or_missing_is_checked_and_does_not_hide_others(polled: PolledDags) -> None:
    polled.refuses_lists()
    polled.is_busy("busy")
    polled.join("busy")
    forbidden, missing = polled.join("forbidden"), polled.join("missing")
    no = json_response(polled.target.payloads.error(403, "Forbidden"), 403)
    polled.target.on("GET", "dags/forbidden/dagRuns/~/taskInstances", no)
    assert polled.poll() == {forbidden, missing}


def test_list_fails_if_all_dags_are_forbidden(polled: PolledDags) -> None:
    polled.refuses_lists()
    polled.join("d")
    no = json_response(polled.target.payloads.error(403, "Forbidden"), 403)
    polled.target.on("GET", "dags/d/dagRuns/~/taskInstances", no)
    with pytest.raises(AccessDeniedError):
        polled.poll()


def test_refused_token_does_not_cause_lists_by_dag(polled: PolledDags) -> None:
    polled.join("d")
    polled.target.on("POST", TASKS, json_response(polled.target.payloads.error(401, "Unauthorized"), 401))
    with pytest.raises(AccessDeniedError):
        polled.poll()
    assert not polled.dags.lists_by_dag


def test_outage_is_an_error_of_the_poll(polled: PolledDags) -> None:
    polled.join("d")
    polled.target.on("POST", TASKS, json_response({}, 503))
    with pytest.raises(TargetUnavailableError):
        polled.poll()


def test_dag_whose_waits_have_left_is_not_listed(polled: PolledDags) -> None:
    polled.is_busy("gone")
    polled.is_busy("d")
    gone, _ = polled.join("gone"), polled.join("d")
    polled.dags.leave(gone)
    polled.poll()
    assert polled.target.received[0].json["dag_ids"] == ["d"]


def test_pauses_follow_a_clock_that_moves_back(polled: PolledDags) -> None:
    wait = polled.join("missing")
    assert polled.poll() == {wait}
    polled.now -= 3600
    polled.dags.move_back(3600)
    assert polled.poll() == {wait}
