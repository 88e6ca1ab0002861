"""A fake target in memory, and waits for its runs and tasks. Time passes only when the event loop is idle."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from astro_provider.api.api_versions import API_VERSIONS
from astro_provider.api.errors import TransportError
from astro_provider.api.flow import Response
from astro_provider.triggers.watcher.registry import shared_watcher
from astro_provider.waits.wait import EndStates, RunWait
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import TOKEN, json_response
from tests.unit.task_runner import NOW

if TYPE_CHECKING:
    from astro_provider.api.flow import Request
    from astro_provider.api.types import DagRun
    from astro_provider.waits.wait import Verdict
    from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse
    from tests.unit.task_runner import FakeClock

INTERVAL = 5.0
RUNS = "dags/~/dagRuns/list"
TASKS = "dags/~/dagRuns/~/taskInstances/list"
READ_TIMEOUT = 60.0
LONG_AGO = (NOW - timedelta(days=1)).timestamp()
"""When a wait began whose interval is its ``poke_interval``."""


class WatchedAirflow(FakeAirflow):
    """A fake Airflow that sends its own time, checks tokens, and counts sessions and requests."""

    def __init__(self, api_version: str = "v2") -> None:
        super().__init__(api_version)
        self.tokens = {TOKEN}
        self.open_sessions = 0
        self.max_open_sessions = 0
        self.closed_sessions = 0
        self.refused_count = 0
        self.hanging_paths: set[str] = set()
        """Paths whose requests get no response."""
        self.batches_hang = False
        """Whether lists of unfinished runs get no response."""
        self.unanswered_urls: list[str] = []
        """URLs of the requests that got no response."""
        self.is_down = False
        """Whether every response is a 500."""

    def respond(self, received: ReceivedRequest) -> ScriptedResponse:
        if self.is_down:
            self.received.append(received)
            return json_response(self.payloads.error(500, "down"), 500)
        return super().respond(received)

    def carry(self, request: Request) -> Response:
        if request.headers["Authorization"].removeprefix("Bearer ") not in self.tokens:
            answer = json_response(self.payloads.error(401, "Unauthorized"), 401)
            self.refused_count += 1
            return Response(answer.status, {"content-type": "application/json"}, answer.body)
        response = self._carry(request)
        if isinstance(response, TransportError):
            raise response
        assert response is not None
        date = datetime.now(timezone.utc) + timedelta(seconds=self.clock_lead)
        return Response(
            response.status, {**response.headers, "date": format_datetime(date, usegmt=True)}, response.body
        )

    def has_runs(self, number: int, dag_id: str = "d", state: str = "running") -> list[str]:
        """Add runs that are due one minute apart, and return their ids."""
        names = [f"run-{each}" for each in range(number)]
        for each, name in enumerate(names):
            due = (NOW - timedelta(minutes=each)).isoformat()
            dates = {"logical_date": due} if self.api_version == "v1" else {"logical_date": due, "run_after": due}
            self.has_run(name, state, dag_id=dag_id, end_date=None, **dates)
        return names

    def seen(self, run_id: str) -> DagRun:
        """Return a run as a caller of the watcher has seen it."""
        return API_VERSIONS[self.api_version].dag_run(self._runs["d", run_id])

    def reset_counts(self) -> None:
        """Forget all requests."""
        self.received.clear()
        self.refused_count = 0

    def list_count(self, path: str = RUNS) -> int:
        """Count the list requests for what has finished."""
        return sum(
            (received.method, received.path) == ("POST", self.api(path)) and "end_date_gte" in received.json
            for received in self.received
        )

    def batch_count(self, path: str = RUNS) -> int:
        """Count the list requests for what has not finished, which check a batch of waits."""
        return sum(
            (received.method, received.path) == ("POST", self.api(path)) and "end_date_gte" not in received.json
            for received in self.received
        )

    def check_count(self, run_id: str | None = None) -> int:
        """Count the requests for a single run: for this one, or for any."""
        runs = [run_id] if run_id else self.runs
        calls_received = {f"GET {self.api(f'dags/d/dagRuns/{run}')}" for run in runs}
        return sum(each in calls_received for each in self.calls_received)


class FakeCarrier:
    """Carries requests to a target in memory, in place of the hook's ``AsyncCarrier``."""

    def __init__(self, target: WatchedAirflow, clock: FakeClock) -> None:
        self._target = target
        self._clock = clock
        self._open = False

    async def send(self, request: Request) -> Response:
        if not self._open:
            self._open = True
            self._target.open_sessions += 1
            self._target.max_open_sessions = max(self._target.max_open_sessions, self._target.open_sessions)
        await asyncio.sleep(0)
        is_batch = request.url.endswith(self._target.api(RUNS)) and b"end_date_gte" not in (request.body or b"")
        if (is_batch and self._target.batches_hang) or any(
            request.url.endswith(self._target.api(path)) for path in self._target.hanging_paths
        ):
            self._target.unanswered_urls.append(request.url)
            await self._clock.sleep_async(READ_TIMEOUT)
            raise TransportError("did not answer")
        return self._target.carry(request)

    async def close(self) -> None:
        self._target.open_sessions -= self._open
        self._target.closed_sessions += self._open
        self._open = False


@dataclass
class Waiting:
    """A wait that is under way."""

    task: asyncio.Task[Verdict]
    changes: list[str]
    """Messages of the verdicts that were reported."""
    warnings: list[str]
    """Messages that were logged as warnings, without ``answers``."""
    answers: list[str]
    """Messages that the target answers again."""
    hints: list[str]
    """Hints of the verdicts that were reported."""

    @property
    def outcome(self) -> str | None:
        """The outcome; ``None`` while the wait is under way."""
        return self.task.result().outcome if self.task.done() else None


@dataclass
class Waits:
    """Begins waits, and cancels those that are still under way."""

    started: list[Waiting] = field(default_factory=list)

    def __call__(
        self,
        run_id: str | None = "theirs",
        *,
        conn_id: str = "http_conn",
        poke_interval: float = INTERVAL,
        deadline: float | None = None,
        started_at: float | None = LONG_AGO,
        run: DagRun | None = None,
        end_states: EndStates = EndStates(("success",), ("failed",)),  # noqa: B008  it is frozen
        dag_id: str = "d",
        **fields: Any,
    ) -> Waiting:
        changes: list[str] = []
        warnings: list[str] = []
        answers: list[str] = []
        hints: list[str] = []

        def on_change(verdict: Verdict) -> None:
            changes.append(verdict.message)
            hints.append(verdict.hint)

        def warn(message: str) -> None:
            (answers if message.startswith("Target answers again: ") else warnings).append(message)

        async def wait() -> Verdict:
            async with shared_watcher(conn_id) as watcher:
                return await watcher.watch(
                    RunWait(dag_id, end_states, run_id=run_id, **fields),
                    poke_interval=poke_interval,
                    deadline=deadline,
                    on_change=on_change,
                    warn=warn,
                    started_at=started_at,
                    run=run,
                )

        self.started.append(Waiting(asyncio.create_task(wait()), changes, warnings, answers, hints))
        return self.started[-1]

    async def cancel(self) -> None:
        for waiting in self.started:
            waiting.task.cancel()
        await asyncio.gather(*(waiting.task for waiting in self.started), return_exceptions=True)
