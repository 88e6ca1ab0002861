"""What a feed lists, across dags and dag by dag."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from astro_provider.api.errors import AccessDeniedError
from astro_provider.triggers.watcher import feed, polled_waits
from astro_provider.triggers.watcher.subscription import Subscription
from tests.unit.scripted_target import json_response
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, RUNS

if TYPE_CHECKING:
    from tests.unit.triggers.watcher.polled_feed import PolledFeed


def test_many_dags_are_listed_a_few_per_poll_if_lists_across_dags_are_refused(runs: PolledFeed) -> None:
    dag_ids = [f"dag-{number:03}" for number in range(300)]
    waiting = []
    for dag_id in dag_ids:
        runs.target.dags[dag_id] = False
        waiting.append(runs.join(dag_id, run_id="theirs"))
    runs.refuses_lists()
    assert runs.poll() == set()
    assert len(runs.target.received) == 1 + polled_waits.MAX_DAGS_LISTED_PER_POLL
    for dag_id in dag_ids:
        runs.ended("theirs", dag_id)
    found: set[Subscription] = set()
    for _ in range(30):
        found |= runs.poll()
        assert len(runs.target.received) == polled_waits.MAX_DAGS_LISTED_PER_POLL
    assert found == set(waiting)


def test_refused_token_does_not_cause_lists_by_dag(runs: PolledFeed) -> None:
    runs.join(run_id="theirs")
    runs.target.on("POST", RUNS, json_response(runs.target.payloads.error(401, "Unauthorized"), 401))
    with pytest.raises(AccessDeniedError):
        runs.poll()
    assert (len(runs.target.received), runs.feed.lists_by_dag) == (1, False)


@pytest.mark.parametrize(
    ("statuses", "rows", "request_count"),
    [
        ((200, 403, 404), 1, 3),
        ((404, 403, 403), 0, 3),
        ((403, 403, 200), 1, 3),
        ((403, 403, 403), None, 3),
        ((200, 401, 401), None, 2),
    ],
)
def test_list_by_dag_fails_if_all_dags_or_the_token_are_refused(
    runs: PolledFeed, statuses: tuple[int, ...], rows: int | None, request_count: int
) -> None:
    runs.refuses_lists()
    bodies = {200: runs.target.payloads.collection("dag_runs", runs.target.payloads.dag_run("r", "success"))}
    for dag_id, status in zip("abc", statuses, strict=True):
        body = bodies.get(status) or runs.target.payloads.error(status, "no")
        runs.target.on("GET", f"dags/{dag_id}/dagRuns", json_response(body, status))
        runs.join(dag_id, run_id="r")
    request = runs.feed.prepare_list(runs.now)
    lists = runs.feed.list_finished(runs.client, request)
    if rows is None:
        with pytest.raises(AccessDeniedError):
            runs.target.run(lists)
    else:
        assert len(runs.target.run(lists).rows) == rows
    assert len([path for path in runs.target.calls_received if path.endswith("/dagRuns")]) == request_count


def test_list_of_a_new_dag_begins_when_its_first_wait_joined(runs: PolledFeed) -> None:
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
