"""How often lists across dags are tried again after the target has refused one."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from astro_provider.triggers.watcher import polled_waits
from tests.unit.triggers.watcher.watched_airflow import INTERVAL

if TYPE_CHECKING:
    from tests.unit.triggers.watcher.polled_feed import PolledFeed


def test_list_across_dags_is_retried_less_and_less_often(runs: PolledFeed) -> None:
    runs.join(run_id="theirs")
    runs.refuses_lists()
    tried_at = []
    for _ in range(int(4 * 3600 / INTERVAL)):
        runs.poll()
        if any(received.method == "POST" for received in runs.target.received):
            tried_at.append(runs.now)
    pauses = [later - earlier for earlier, later in pairwise(tried_at)]
    assert pauses == [300, 600, 1200, 2400, 3600, 3600]
    # When it is allowed again, it shows what has finished since the last list of each dag.
    runs.target._scripts.clear()
    runs.ended("theirs")
    runs.now += polled_waits.MAX_RETRY_LIST_SECONDS
    assert len(runs.poll()) == 1
    assert [received.method for received in runs.target.received] == ["POST"]
    assert not runs.feed.lists_by_dag
