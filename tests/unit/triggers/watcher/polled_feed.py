"""A feed of a fake target, which a test polls."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from astro_provider.api.api_versions import API_VERSIONS
from astro_provider.api.memory import Memory
from astro_provider.triggers.watcher.subscription import Subscription
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import json_response
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, LONG_AGO, RUNS

if TYPE_CHECKING:
    from astro_provider.api.client import Client
    from astro_provider.triggers.watcher.finished import FinishedRuns, FinishedTasks

END_STATES = EndStates(("success",), ("failed",))


class PolledFeed:
    """A feed of a fake target, which a test polls."""

    def __init__(self, api_version: str, kind: type[FinishedRuns] | type[FinishedTasks]) -> None:
        self.target = FakeAirflow(api_version)
        self.now = datetime.fromisoformat("2026-02-01T12:00:00+00:00").timestamp()
        self.feed = kind(lambda: self.now)
        self.client: Client = self.target.client(memory=Memory(API_VERSIONS[api_version]))

    def join(self, dag_id: str = "d", **fields: Any) -> Subscription:
        wait = RunWait(dag_id, END_STATES, **fields)
        subscription = Subscription(
            wait,
            poke_interval=INTERVAL,
            deadline=None,
            started_at=LONG_AGO,
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
