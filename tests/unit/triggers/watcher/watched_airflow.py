"""A target in memory, and waits for it, with time that goes on only when nobody has anything else to do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from astro_provider.api.errors import TransportError
from astro_provider.api.flow import Response
from astro_provider.triggers.watcher.registry import shared_watcher
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import TOKEN, json_response
from tests.unit.task_runner import NOW

if TYPE_CHECKING:
    from astro_provider.api.flow import Request
    from astro_provider.waits.wait import Verdict
    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse
    from tests.unit.task_runner import FakeClock

INTERVAL = 5.0
RUNS = "dags/~/dagRuns/list"
TASKS = "dags/~/dagRuns/~/taskInstances/list"
READ_TIMEOUT = 60.0


class WatchedAirflow(FakeAirflow):
    """A played Airflow that keeps a clock of its own, knows its tokens, and counts who is connected."""

    def __init__(self, api_version: str = "v2") -> None:
        super().__init__(api_version)
        self.tokens = {TOKEN}
        self.connected = 0
        self.most_connected = 0
        self.closed = 0
        self.refused = 0
        self.hanging: set[str] = set()
        """Paths whose requests get no answer."""
        self.hanging_batches = False
        """Whether lists of what has not finished get no answer."""
        self.in_vain: list[str] = []
        """URLs of the requests that got none."""
        self.down = False

    def respond(self, received: ReceivedRequest) -> ScriptedResponse:
        if self.down:
            self.received.append(received)
            return json_response(self.payloads.error(500, "down"), 500)
        return super().respond(received)

    def carry(self, request: Request) -> Response:
        if request.headers["Authorization"].removeprefix("Bearer ") not in self.tokens:
            answer = json_response(self.payloads.error(401, "Unauthorized"), 401)
            self.refused += 1
            return Response(answer.status, {"content-type": "application/json"}, answer.body)
        response = self._carry(request)
        if isinstance(response, TransportError):
            raise response
        assert response is not None
        date = datetime.now(timezone.utc) + timedelta(seconds=self.clock_lead)
        return Response(
            response.status, {**response.headers, "date": format_datetime(date, usegmt=True)}, response.body
        )

    def has_running(self, number: int, dag_id: str = "d", state: str = "running") -> list[str]:
        """Put runs there that were due a minute after another, as no two are due at the same time; return their ids."""
        names = [f"run-{each}" for each in range(number)]
        for each, name in enumerate(names):
            due = (NOW - timedelta(minutes=each)).isoformat()
            dates = {"logical_date": due} if self.api_version == "v1" else {"logical_date": due, "run_after": due}
            self.has_run(name, state, dag_id=dag_id, end_date=None, **dates)
        return names

    def forget(self) -> None:
        """Begin to count anew what it is asked."""
        self.received.clear()
        self.refused = 0

    def lists(self, path: str = RUNS) -> int:
        """How many times it was asked what has finished."""
        return sum(
            (received.method, received.path) == ("POST", self.api(path)) and "end_date_gte" in received.json
            for received in self.received
        )

    def batches(self, path: str = RUNS) -> int:
        """How many times it was asked, for many waits at once, what has not finished."""
        return sum(
            (received.method, received.path) == ("POST", self.api(path)) and "end_date_gte" not in received.json
            for received in self.received
        )

    def looks(self, run_id: str | None = None) -> int:
        """How many times it was asked for this run alone, or for any."""
        runs = [run_id] if run_id else self.runs
        calls_received = {f"GET {self.api(f'dags/d/dagRuns/{run}')}" for run in runs}
        return sum(each in calls_received for each in self.calls_received)


class Carrier:
    """Carries requests to a target in memory; what the hook's own carrier does over a session."""

    def __init__(self, target: WatchedAirflow, clock: FakeClock) -> None:
        self._target = target
        self._clock = clock
        self._open = False

    async def send(self, request: Request) -> Response:
        if not self._open:
            self._open = True
            self._target.connected += 1
            self._target.most_connected = max(self._target.most_connected, self._target.connected)
        await asyncio.sleep(0)
        is_batch = request.url.endswith(self._target.api(RUNS)) and b"end_date_gte" not in (request.body or b"")
        if (is_batch and self._target.hanging_batches) or any(
            request.url.endswith(self._target.api(path)) for path in self._target.hanging
        ):
            self._target.in_vain.append(request.url)
            await self._clock.sleep_async(READ_TIMEOUT)
            raise TransportError("did not answer")
        return self._target.carry(request)

    async def close(self) -> None:
        self._target.connected -= self._open
        self._target.closed += self._open
        self._open = False


@dataclass
class Waiting:
    """A wait that is under way."""

    task: asyncio.Task[Verdict]
    told: list[str]
    warned: list[str]

    @property
    def outcome(self) -> str | None:
        """What came of it, ``None`` if it still waits."""
        return self.task.result().outcome if self.task.done() else None


@dataclass
class Waits:
    """Begins waits, and ends those that are left over."""

    begun: list[Waiting] = field(default_factory=list)

    def __call__(
        self,
        run_id: str | None = "theirs",
        *,
        conn_id: str = "http_conn",
        poke_interval: float = INTERVAL,
        deadline: float | None = None,
        first_check_delay: float = 0,
        end_states: EndStates = EndStates(("success",), ("failed",)),  # noqa: B008  it is frozen
        dag_id: str = "d",
        **what: Any,
    ) -> Waiting:
        told: list[str] = []
        warned: list[str] = []

        async def wait() -> Verdict:
            async with shared_watcher(conn_id) as watcher:
                return await watcher.wait(
                    RunWait(dag_id, end_states, run_id=run_id, **what),
                    poke_interval=poke_interval,
                    deadline=deadline,
                    on_change=lambda verdict: told.append(verdict.message),
                    warn=warned.append,
                    first_check_delay=first_check_delay,
                )

        self.begun.append(Waiting(asyncio.create_task(wait()), told, warned))
        return self.begun[-1]

    async def end(self) -> None:
        for waiting in self.begun:
            waiting.task.cancel()
        await asyncio.gather(*(waiting.task for waiting in self.begun), return_exceptions=True)
