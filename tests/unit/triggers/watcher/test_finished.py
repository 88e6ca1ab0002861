"""The filters of lists of finished task instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.triggers.watcher import finished
from astro_provider.triggers.watcher.polled_waits import RETRY_LIST_SECONDS
from tests.unit.scripted_target import json_response
from tests.unit.triggers.watcher.watched_airflow import TASKS

if TYPE_CHECKING:
    import pytest

    from tests.unit.triggers.watcher.polled_feed import PolledFeed


def test_task_instances_are_filtered_by_run_and_task(tasks: PolledFeed) -> None:
    tasks.target.has_run("theirs", "running", end_date=None)
    for index in range(1000):
        tasks.task_ended("mapped", "theirs", map_index=index)
    waiting = tasks.join(run_id="theirs", task_ids=["small"])
    tasks.join(run_id="other", task_ids=["load"])
    tasks.task_ended("small", "theirs")
    assert tasks.poll() == {waiting}
    (received,) = tasks.target.received
    assert (received.json["dag_run_ids"], received.json["task_ids"]) == (["other", "theirs"], ["load", "small"])


def test_task_instances_of_groups_are_filtered_by_run(tasks: PolledFeed) -> None:
    tasks.join(run_id="one", group_id="g")
    tasks.join(run_id="two", task_ids=["load"])
    tasks.poll()
    assert [(received.json["dag_run_ids"], received.json.get("task_ids")) for received in tasks.target.received] == [
        (["two"], ["load"]),
        (["one"], None),
    ]


def test_task_instances_are_not_filtered_by_run_if_a_run_id_is_unknown(tasks: PolledFeed) -> None:
    tasks.join(run_id="one", task_ids=["load"])
    tasks.join(latest=True, task_ids=["check"])
    tasks.poll()
    (received,) = tasks.target.received
    assert ("dag_run_ids" in received.json, received.json["task_ids"]) == (False, ["check", "load"])


def test_task_instances_are_not_filtered_by_run_if_there_are_too_many_runs(
    tasks: PolledFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finished, "MAX_RUNS_IN_FILTER", 2)
    for run_id in ("one", "two"):
        tasks.join(run_id=run_id, task_ids=["load"])
    tasks.poll()
    assert tasks.target.received[0].json["dag_run_ids"] == ["one", "two"]
    tasks.join(run_id="three", task_ids=["load"])
    tasks.poll()
    assert "dag_run_ids" not in tasks.target.received[0].json


def test_all_task_instances_of_the_dags_are_listed_if_filters_are_refused(tasks: PolledFeed) -> None:
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
    tasks.now += RETRY_LIST_SECONDS
    tasks.poll()
    assert len(tasks.target.received) == 2
