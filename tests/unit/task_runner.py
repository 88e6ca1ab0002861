"""What Airflow provides to a running task, for tests: a task instance, a context, the task state store and a clock."""

from __future__ import annotations

import asyncio
import heapq
import json
import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import time_machine

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 2, 1, 12, tzinfo=timezone.utc)
LOGICAL_DATE = datetime(2026, 2, 1, 6, tzinfo=timezone.utc)
RUN_STARTED = datetime(2026, 1, 15, tzinfo=timezone.utc)
"""Start of the triggering dag run: before the runs that the fake Airflow creates, after ``CREATED_BEFORE``."""


@dataclass
class TaskInstance:
    """The part of Airflow's task instance that this package uses."""

    task_id: str = "trigger"
    dag_id: str = "local"
    run_id: str = "manual__2026-02-01T06:00:00+00:00"
    map_index: int | None = -1
    try_number: int = 1
    max_tries: int = 0
    xcoms: dict[str, Any] = field(default_factory=dict)
    first_reschedule_date: datetime | None = None
    start_date: datetime | None = NOW
    log_url: str | None = "https://here.example.com/dags/local/tasks/trigger"

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def xcom_pull(self, task_ids: str, **_: Any) -> Any:
        return f"XCom of {task_ids}"

    def get_relevant_upstream_map_indexes(self, *_: Any, **__: Any) -> None:
        """Called by Airflow 2 to find the map indexes of XComs; ``None`` means all."""

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        """Called by the sensors of Airflow 3."""
        return self.first_reschedule_date


class Store:
    """The task state store of one task instance (Airflow 3.3 and later), which stores JSON."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.stored.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self.stored[key] = json.loads(json.dumps(value))


def context(ti: TaskInstance | None = None, **more: Any) -> dict[str, Any]:
    """Make the context of a task. ``logical_date=None`` is a run without a logical date."""
    return {
        "ti": ti or TaskInstance(),
        "logical_date": LOGICAL_DATE,
        "dag_run": SimpleNamespace(start_date=RUN_STARTED),
        "ds": "2026-02-01",
        "expanded_ti_count": None,
        **more,
    }


class FakeClock:
    """A clock that moves only when code sleeps, and then at once."""

    def __init__(self, traveller: time_machine.Traveller) -> None:
        self._traveller = traveller
        self.sleeps: list[float] = []
        self.at_sleep: Callable[[], None] = lambda: None
        """Called at every sleep, to change something while a task waits."""
        self._numbers = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._advancing: asyncio.Task[None] | None = None
        self._stopped = 0

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self._traveller.shift(timedelta(seconds=seconds))
        self.at_sleep()

    async def sleep_async(self, seconds: float) -> None:
        """Sleep until the clock has reached the end, which happens when no other task on the event loop can run."""
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (datetime.now().timestamp() + seconds, next(self._numbers), woken))
        if self._advancing is None or self._advancing.done():
            self._advancing = asyncio.create_task(self._advance())
        await woken

    async def _advance(self) -> None:
        while True:
            loop: Any = asyncio.get_running_loop()
            # asyncio has no public API for whether an event loop is idle.
            while self._stopped or loop._ready:  # noqa: ASYNC110
                await asyncio.sleep(0)
            while self._sleepers and self._sleepers[0][2].done():  # cancelled
                heapq.heappop(self._sleepers)
            if not self._sleepers:
                return
            at, _, woken = heapq.heappop(self._sleepers)
            seconds = max(at - datetime.now().timestamp(), 0)
            self.sleep(math.ceil(seconds * 1000) / 1000)  # rounded up, because rounding down would never reach the end
            woken.set_result(None)

    def holding(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Stop the clock while a coroutine function waits for threads and sockets."""

        async def held(*arguments: Any) -> Any:
            self._stopped += 1
            try:
                return await function(*arguments)
            finally:
                self._stopped -= 1

        return held

    def shift(self, seconds: float) -> None:
        self._traveller.shift(timedelta(seconds=seconds))


def round_trip(dag: Any) -> Any:
    """Serialize a DAG as Airflow's DAG processor does, and read it as the scheduler and the UI do."""
    from airflow.serialization import serialized_objects

    serialization = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG
    return serialization.from_dict(json.loads(json.dumps(serialization.to_dict(dag))))
