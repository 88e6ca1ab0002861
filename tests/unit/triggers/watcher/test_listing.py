"""The request, the filters and the result of a list, while waits join and leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.triggers.watcher.listing import ListResult

if TYPE_CHECKING:
    from tests.unit.triggers.watcher.polled_feed import PolledFeed


def test_list_request_has_the_dags_of_the_waits_at_its_time(runs: PolledFeed) -> None:
    first = runs.join(run_id="theirs")
    request = runs.feed.prepare_list(runs.now)
    runs.join("late", run_id="theirs")
    runs.feed.leave(first)
    assert request.dag_ids == ["d"]
    assert request.oldest_dags == [("d", runs.now)]


def test_list_result_of_a_dag_without_waits_is_ignored(runs: PolledFeed) -> None:
    first = runs.join(run_id="theirs")
    request = runs.feed.prepare_list(runs.now)
    runs.join("late", run_id="theirs")
    runs.feed.leave(first)
    row = runs.target.payloads.dag_run("theirs", "success", dag_id="d")
    assert runs.feed.note_list(request, ListResult([row], request.dag_ids, by_dag=False)) == set()
    assert runs.feed.prepare_list(runs.now).dag_ids == ["late"]


def test_task_filters_have_no_tasks_for_waits_for_groups(tasks: PolledFeed) -> None:
    tasks.join(run_id="theirs", task_ids=["load"])
    tasks.join("other", run_id="later", group_id="g")
    assert tasks.feed.prepare_list(tasks.now).task_filters == [
        (["d"], ["theirs"], ["load"]),
        (["other"], ["later"], None),
    ]
