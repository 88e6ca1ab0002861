"""What Airflow gives to a task that runs: a task instance, a context, a clock, a log; for tests of tasks."""

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
RUN_BEGAN = datetime(2026, 1, 15, tzinfo=timezone.utc)  # before what a stub makes, after what is said to be old


@dataclass
class TaskInstance:
    """A task instance, as far as tasks of this package look at one."""

    task_id: str = "trigger"
    dag_id: str = "local"
    run_id: str = "manual__2026-02-01T06:00:00+00:00"
    map_index: int | None = -1
    try_number: int = 1
    max_tries: int = 0
    xcoms: dict[str, Any] = field(default_factory=dict)
    first_reschedule_date: datetime | None = None
    start_date: datetime | None = NOW

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def xcom_pull(self, task_ids: str, **_: Any) -> Any:
        return f"XCom of {task_ids}"

    def get_relevant_upstream_map_indexes(self, *_: Any, **__: Any) -> None:
        """How Airflow 2 asks which XComs to pull: all."""

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        """How Airflow 3 says when a sensor was first rescheduled."""
        return self.first_reschedule_date


class Store:
    """The task state store of one task instance (Airflow 3.3 and up), which holds JSON."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.stored.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self.stored[key] = json.loads(json.dumps(value))


def context(ti: TaskInstance | None = None, **more: Any) -> dict[str, Any]:
    """Make the context of a task; ``logical_date=None`` for a run without one."""
    return {
        "ti": ti or TaskInstance(),
        "logical_date": LOGICAL_DATE,
        "dag_run": SimpleNamespace(start_date=RUN_BEGAN),
        "ds": "2026-02-01",
        "expanded_ti_count": None,
        **more,
    }


class FakeClock:
    """The time of day, which moves when somebody sleeps."""

    def __init__(self, traveller: time_machine.Traveller) -> None:
        self._traveller = traveller
        self.sleeps: list[float] = []
        self.at_sleep: Callable[[], None] = lambda: None
        """Called at every sleep, for what happens while a task waits."""
        self._numbers = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._going_on: asyncio.Task[None] | None = None
        self._under_way = 0

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self._traveller.shift(timedelta(seconds=seconds))
        self.at_sleep()

    async def sleep_async(self, seconds: float) -> None:
        """Sleep until the clock has come so far, which it has when nobody has anything else to do."""
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (datetime.now().timestamp() + seconds, next(self._numbers), woken))
        if self._going_on is None or self._going_on.done():
            self._going_on = asyncio.create_task(self._go_on())
        await woken

    async def _go_on(self) -> None:
        while True:
            loop: Any = asyncio.get_running_loop()
            # No public name tells whether a loop has anything to do, let alone calls when it has not.
            while self._under_way or loop._ready:  # noqa: ASYNC110
                await asyncio.sleep(0)
            while self._sleepers and self._sleepers[0][2].done():  # cancelled
                heapq.heappop(self._sleepers)
            if not self._sleepers:
                return
            at, _, woken = heapq.heappop(self._sleepers)
            seconds = max(at - datetime.now().timestamp(), 0)
            self.sleep(math.ceil(seconds * 1000) / 1000)  # or the last microsecond would never be over
            woken.set_result(None)

    def holding(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Make the clock stand still while this coroutine function waits for threads and sockets."""

        async def held(*arguments: Any) -> Any:
            self._under_way += 1
            try:
                return await function(*arguments)
            finally:
                self._under_way -= 1

        return held

    def shift(self, seconds: float) -> None:
        self._traveller.shift(timedelta(seconds=seconds))


def round_trip(dag: Any) -> Any:
    """Serialise a DAG as Airflow's DAG processor does, and read it as the scheduler and the UI do."""
    from airflow.serialization import serialized_objects

    serialization = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG
    return serialization.from_dict(json.loads(json.dumps(serialization.to_dict(dag))))
