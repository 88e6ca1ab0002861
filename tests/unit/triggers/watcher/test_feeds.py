"""What is listed for those who wait, and whom a row concerns."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.api_versions import API_VERSIONS
from astro_provider.api.errors import AccessDeniedError
from astro_provider.api.memory import Memory
from astro_provider.triggers.watcher import feed, finished
from astro_provider.triggers.watcher.finished import FinishedRuns, FinishedTasks
from astro_provider.triggers.watcher.subscription import Subscription
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import json_response
from tests.unit.triggers.watcher.watched_airflow import RUNS, TASKS

if TYPE_CHECKING:
    from astro_provider.api.client import Client

END_STATES = EndStates(("success",), ("failed",))
INTERVAL = 5.0


class Polled:
    """A feed of a played target, polled by hand."""

    def __init__(self, api_version: str, kind: type[FinishedRuns] | type[FinishedTasks]) -> None:
        self.target = FakeAirflow(api_version)
        self.now = datetime.fromisoformat("2026-02-01T12:00:00+00:00").timestamp()
        self.feed = kind(lambda: self.now)
        self.client: Client = self.target.client(memory=Memory(API_VERSIONS[api_version]))

    def join(self, dag_id: str = "d", **what: Any) -> Subscription:
        wait = RunWait(dag_id, END_STATES, **what)
        subscription = Subscription(
            wait,
            poke_interval=INTERVAL,
            deadline=None,
            clock=lambda: self.now,
            on_change=lambda _: None,
            warn=lambda _: None,
        )
        self.feed.join(subscription)
        return subscription

    def ended(self, run_id: str, dag_id: str = "d", **fields: Any) -> None:
        end_date = datetime.fromtimestamp(self.now).astimezone().isoformat()
        self.target.has_run(run_id, "success", dag_id=dag_id, end_date=end_date, **fields)

    def task_ended(self, task_id: str, run_id: str, **fields: Any) -> None:
        end_date = datetime.fromtimestamp(self.now).astimezone().isoformat()
        self.target.has_task(task_id, "success", run_id=run_id, end_date=end_date, **fields)

    def poll(self) -> set[Subscription]:
        self.now += INTERVAL
        self.target.received.clear()
        request = self.feed.prepare_list(self.now)
        result = self.target.run(self.feed.list_finished(self.client, request))
        return self.feed.note_list(request, result)

    def refuses_lists(self, path: str = RUNS) -> None:
        self.target.on("POST", path, json_response(self.target.payloads.error(403, "Forbidden"), 403))


@pytest.fixture(params=["v1", "v2"])
def runs(request: pytest.FixtureRequest) -> Polled:
    return Polled(request.param, FinishedRuns)


@pytest.fixture(params=["v1", "v2"])
def tasks(request: pytest.FixtureRequest) -> Polled:
    return Polled(request.param, FinishedTasks)


# Whom a row concerns.


def test_a_row_concerns_those_who_wait_for_its_run_its_date_or_the_newest(runs: Polled) -> None:
    runs.target.dags["other"] = False
    date = "2026-01-31T06:00:00+00:00"
    concerned = {
        runs.join(run_id="theirs"),
        runs.join(run_id="theirs"),
        runs.join(logical_dates=["2020-01-01T00:00:00+00:00", "2026-01-31T07:00:00+01:00"]),
        runs.join(latest=True),
    }
    for what in ({"run_id": "other"}, {"logical_dates": ["2026-01-31T07:00:00+00:00"]}):
        runs.join(**what)
    for what in ({"run_id": "theirs"}, {"logical_dates": [date]}, {"latest": True}):
        runs.join("other", **what)
    runs.ended("theirs", logical_date=date)
    assert runs.poll() == concerned
    assert runs.poll() == set()  # the overlap brings it again
    for subscription in concerned:
        runs.feed.leave(subscription)
    runs.target.has_run("theirs", "success", end_date="2026-02-01T12:00:09+00:00", logical_date=date)
    assert runs.poll() == set()


def test_a_date_that_is_none_keeps_no_other_row_back(runs: Polled) -> None:
    by_id, by_date = runs.join(run_id="good"), runs.join(logical_dates=["2026-01-31T06:00:00+00:00"])
    runs.ended("bad")
    runs.target.runs["bad"].update(logical_date="yesterday", execution_date="yesterday")
    runs.target.runs["bad"]["run_after" if runs.target.api_version == "v2" else "x"] = "2026-02-01T06:00:00Z"
    runs.ended("good", logical_date="2026-01-31T06:00:00+00:00")
    answer = runs.target.payloads.collection("dag_runs", *runs.target.runs.values())
    runs.target.on("POST", RUNS, json_response(answer))
    assert runs.poll() == {by_id, by_date}


def test_a_task_concerns_those_who_wait_for_it_or_for_a_group(tasks: Polled) -> None:
    mine = {tasks.join(run_id="theirs", task_ids=["load", "x"]), tasks.join(run_id="theirs", group_id="g")}
    tasks.join(run_id="theirs", task_ids=["other"])
    tasks.join(run_id="other", task_ids=["load"])
    tasks.target.has_run("theirs", "running", end_date=None)
    tasks.task_ended("load", "theirs")
    assert tasks.poll() == mine


# Which task instances are listed.


def test_tasks_are_filtered_by_run_and_task(tasks: Polled) -> None:
    tasks.target.has_run("theirs", "running", end_date=None)
    for index in range(1000):
        tasks.task_ended("mapped", "theirs", map_index=index)
    waiting = tasks.join(run_id="theirs", task_ids=["small"])
    tasks.join(run_id="other", task_ids=["load"])
    tasks.task_ended("small", "theirs")
    assert tasks.poll() == {waiting}
    (received,) = tasks.target.received
    assert (received.json["dag_run_ids"], received.json["task_ids"]) == (["other", "theirs"], ["load", "small"])


def test_a_group_is_filtered_by_run(tasks: Polled) -> None:
    tasks.join(run_id="one", group_id="g")
    tasks.join(run_id="two", task_ids=["load"])
    tasks.poll()
    assert [(received.json["dag_run_ids"], received.json.get("task_ids")) for received in tasks.target.received] == [
        (["two"], ["load"]),
        (["one"], None),
    ]


def test_runs_that_are_not_known_are_no_filter(tasks: Polled) -> None:
    tasks.join(run_id="one", task_ids=["load"])
    tasks.join(latest=True, task_ids=["check"])
    tasks.poll()
    (received,) = tasks.target.received
    assert ("dag_run_ids" in received.json, received.json["task_ids"]) == (False, ["check", "load"])


def test_more_runs_than_a_request_should_name_are_no_filter(tasks: Polled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished, "MAX_RUNS_IN_FILTER", 2)
    for run_id in ("one", "two"):
        tasks.join(run_id=run_id, task_ids=["load"])
    tasks.poll()
    assert tasks.target.received[0].json["dag_run_ids"] == ["one", "two"]
    tasks.join(run_id="three", task_ids=["load"])
    tasks.poll()
    assert "dag_run_ids" not in tasks.target.received[0].json


def test_where_filters_are_refused_all_tasks_of_the_dags_are_listed(tasks: Polled) -> None:
    tasks.target.on(
        "POST",
        TASKS,
        lambda received: (
            json_response(tasks.target.payloads.error(400, "Unknown field"), 400)
            if "task_ids" in received.json
            else tasks.target.stored_response(received)
        ),
    )
    waiting = tasks.join(run_id="theirs", task_ids=["load"])
    tasks.target.has_run("theirs", "running", end_date=None)
    tasks.task_ended("load", "theirs")
    assert (tasks.poll(), len(tasks.target.received)) == ({waiting}, 2)
    tasks.poll()
    assert len(tasks.target.received) == 1
    tasks.now += feed.RETRY_LIST_SECONDS
    tasks.poll()
    assert len(tasks.target.received) == 2


# Dag by dag.


def test_many_dags_take_turns_where_the_token_may_not_list_across_them(runs: Polled) -> None:
    dag_ids = [f"dag-{number:03}" for number in range(300)]
    waiting = []
    for dag_id in dag_ids:
        runs.target.dags[dag_id] = False
        waiting.append(runs.join(dag_id, run_id="theirs"))
    runs.refuses_lists()
    assert runs.poll() == set()
    assert len(runs.target.received) == 1 + feed.MAX_DAGS_LISTED_PER_POLL
    for dag_id in dag_ids:
        runs.ended("theirs", dag_id)
    woken: set[Subscription] = set()
    for _ in range(30):
        woken |= runs.poll()
        assert len(runs.target.received) == feed.MAX_DAGS_LISTED_PER_POLL
    assert woken == set(waiting)


def test_listing_across_dags_is_tried_again_ever_more_seldom(runs: Polled) -> None:
    runs.join(run_id="theirs")
    runs.refuses_lists()
    tried = []
    for _ in range(int(4 * 3600 / INTERVAL)):
        runs.poll()
        if any(received.method == "POST" for received in runs.target.received):
            tried.append(runs.now)
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert pauses == [300, 600, 1200, 2400, 3600, 3600]
    # Allowed again, it brings what ended since each dag was listed last.
    runs.target._scripts.clear()
    runs.ended("theirs")
    runs.now += feed.MAX_RETRY_LIST_SECONDS
    assert len(runs.poll()) == 1
    assert [received.method for received in runs.target.received] == ["POST"]
    assert not runs.feed.lists_by_dag


def test_a_token_that_is_refused_says_nothing_of_lists_across_dags(runs: Polled) -> None:
    runs.join(run_id="theirs")
    runs.target.on("POST", RUNS, json_response(runs.target.payloads.error(401, "Unauthorized"), 401))
    with pytest.raises(AccessDeniedError):
        runs.poll()
    assert (len(runs.target.received), runs.feed.lists_by_dag) == (1, False)


@pytest.mark.parametrize(
    ("said", "found", "calls_received"),
    [
        ((200, 403, 404), 1, 3),
        ((404, 403, 403), 0, 3),
        ((403, 403, 200), 1, 3),
        ((403, 403, 403), None, 3),
        ((200, 401, 401), None, 2),
    ],
)
def test_a_list_dag_by_dag_fails_where_no_dag_is_answered_or_the_token_itself_is_refused(
    runs: Polled, said: tuple[int, ...], found: int | None, calls_received: int
) -> None:
    runs.refuses_lists()
    bodies = {200: runs.target.payloads.collection("dag_runs", runs.target.payloads.dag_run("r", "success"))}
    for dag_id, status in zip("abc", said, strict=True):
        body = bodies.get(status) or runs.target.payloads.error(status, "no")
        runs.target.on("GET", f"dags/{dag_id}/dagRuns", json_response(body, status))
        runs.join(dag_id, run_id="r")
    request = runs.feed.prepare_list(runs.now)
    lists = runs.feed.list_finished(runs.client, request)
    if found is None:
        with pytest.raises(AccessDeniedError):
            runs.target.run(lists)
    else:
        assert len(runs.target.run(lists).rows) == found
    assert len([path for path in runs.target.calls_received if path.endswith("/dagRuns")]) == calls_received


def test_a_dag_that_joins_is_not_listed_back_to_when_others_began(runs: Polled) -> None:
    runs.join(run_id="theirs")
    runs.poll()
    runs.now += 3600
    runs.join("late", run_id="theirs")
    runs.target.dags["late"] = False
    runs.refuses_lists()
    runs.poll()
    query = next(received for received in runs.target.received if "/late/" in received.path).query
    ended_after = datetime.fromisoformat(query["end_date_gte"][0]).timestamp()
    assert timedelta(seconds=runs.now - ended_after) <= timedelta(seconds=feed.OVERLAP_SECONDS + INTERVAL)
