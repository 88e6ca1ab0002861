"""Which waits the index finds for a row of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.scripted_target import json_response
from tests.unit.triggers.watcher.watched_airflow import RUNS

if TYPE_CHECKING:
    from tests.unit.triggers.watcher.polled_feed import PolledFeed


def test_row_of_a_run_finds_waits_by_run_id_date_and_newest_run(runs: PolledFeed) -> None:
    runs.target.dags["other"] = False
    date = "2026-01-31T06:00:00+00:00"
    expected = {
        runs.join(run_id="theirs"),
        runs.join(run_id="theirs"),
        runs.join(logical_dates=["2020-01-01T00:00:00+00:00", "2026-01-31T07:00:00+01:00"]),
        runs.join(latest=True),
    }
    for fields in ({"run_id": "other"}, {"logical_dates": ["2026-01-31T07:00:00+00:00"]}):
        runs.join(**fields)
    for fields in ({"run_id": "theirs"}, {"logical_dates": [date]}, {"latest": True}):
        runs.join("other", **fields)
    runs.ended("theirs", logical_date=date)
    assert runs.poll() == expected
    assert runs.poll() == set()  # the overlap lists the row again
    for subscription in expected:
        runs.feed.leave(subscription)
    runs.target.has_run("theirs", "success", end_date="2026-02-01T12:00:09+00:00", logical_date=date)
    assert runs.poll() == set()


def test_row_with_an_invalid_date_does_not_hide_other_rows(runs: PolledFeed) -> None:
    by_id, by_date = runs.join(run_id="good"), runs.join(logical_dates=["2026-01-31T06:00:00+00:00"])
    runs.ended("bad")
    runs.target.runs["bad"].update(logical_date="yesterday", execution_date="yesterday")
    runs.target.runs["bad"]["run_after" if runs.target.api_version == "v2" else "x"] = "2026-02-01T06:00:00Z"
    runs.ended("good", logical_date="2026-01-31T06:00:00+00:00")
    answer = runs.target.payloads.collection("dag_runs", *runs.target.runs.values())
    runs.target.on("POST", RUNS, json_response(answer))
    assert runs.poll() == {by_id, by_date}


def test_row_of_a_task_finds_waits_for_the_task_and_for_groups(tasks: PolledFeed) -> None:
    expected = {tasks.join(run_id="theirs", task_ids=["load", "x"]), tasks.join(run_id="theirs", group_id="g")}
    tasks.join(run_id="theirs", task_ids=["other"])
    tasks.join(run_id="other", task_ids=["load"])
    tasks.target.has_run("theirs", "running", end_date=None)
    tasks.task_ended("load", "theirs")
    assert tasks.poll() == expected
