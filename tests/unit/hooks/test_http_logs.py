"""Reading logs of failed tasks takes little memory and time, and is done one log at a time."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api import failed_run, retries
from astro_provider.hooks import http
from astro_provider.hooks.astro import AstroHook
from astro_provider.hooks.astro_async import AsyncAstroHook
from tests.unit import payloads
from tests.unit.hooks.both_hooks import BOTH_HOOKS, RunFlow
from tests.unit.scripted_server import SILENCE
from tests.unit.scripted_target import ReceivedRequest, ScriptedResponse, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from astro_provider.api.client import Client
    from astro_provider.api.exchange import Flow
    from tests.unit.scripted_server import ScriptedServer

TASKS = "dags/d/dagRuns/r/taskInstances"
MIB = 1024 * 1024
FAILED = [payloads.v2.task_instance(f"t{number}", "failed") for number in range(5)]


def describe(client: Client) -> Flow[str]:
    return failed_run.describe_failure(client, payloads.v2.dag_run("r", "failed"))


@pytest.fixture(autouse=True)
def _failed_tasks(server: ScriptedServer) -> None:
    server.on("GET", TASKS, json_response(payloads.v2.collection("task_instances", *FAILED)))


@BOTH_HOOKS
def test_log_of_31_mib_takes_little_memory(run_flow: RunFlow[Any], server: ScriptedServer) -> None:
    entry = json.dumps({"event": "x" * 100, "level": "info"}).encode() + b","
    chunk = entry * (MIB // len(entry))
    end = json.dumps({"event": "Task failed", "level": "error", "error_detail": [{"exc_type": "E", "exc_value": "x"}]})

    def body() -> Iterator[bytes]:
        yield b'{"content":['
        for _ in range(31):
            yield chunk
        yield end.encode() + b"]}"

    size = len(b'{"content":[') + 31 * len(chunk) + len(end) + 2

    def log(received: object) -> ScriptedResponse:
        return ScriptedResponse(200, headers={"Content-Type": "application/json"}, chunks=body(), content_length=size)

    server.on("GET", f"{TASKS}/t0/logs/1", log)
    server.on("GET", TASKS, json_response(payloads.v2.collection("task_instances", FAILED[0])))
    tracemalloc.start()
    try:
        text = run_flow(describe)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "t0 (try 1): E: x" in text
    assert peak < 50 * MIB


class Counting:
    """Sends a log after a while, and counts how many logs are requested at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = self.most = self.calls_received = 0

    def __call__(self, received: ReceivedRequest) -> ScriptedResponse:
        with self._lock:
            self.calls_received += 1
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.02)
        with self._lock:
            self._now -= 1
        return json_response(payloads.v2.log())


async def describe_by_aiohttp() -> None:
    async def one() -> None:
        async with AsyncAstroHook() as hook:
            await hook.run(describe(await hook.client()))

    await asyncio.gather(*[one() for _ in range(4)])


def describe_by_requests() -> None:
    def one(_: int) -> None:
        with AstroHook() as hook:
            hook.run(describe(hook.client))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))


@pytest.mark.parametrize(
    "describe_all", [describe_by_requests, lambda: asyncio.run(describe_by_aiohttp())], ids=["blocking", "async"]
)
def test_one_log_is_read_at_a_time(describe_all: Callable[[], None], server: ScriptedServer) -> None:
    logs = Counting()
    for task in FAILED:
        server.on("GET", f"{TASKS}/{task['task_id']}/logs/1", logs)
    describe_all()
    assert (logs.calls_received, logs.most) == (20, 1)


@BOTH_HOOKS
def test_request_for_a_log_has_a_shorter_timeout(
    run_flow: RunFlow[Any], server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_LOG_READ_SECONDS", 0.3)
    monkeypatch.setattr(failed_run, "MAX_LOG_SECONDS", 0.2)
    monkeypatch.setattr(retries, "MAX_RESEND_LOG_SECONDS", 0.2)
    server.on("GET", f"{TASKS}/t0/logs/1", SILENCE)
    began = time.monotonic()
    text = run_flow(describe)
    assert time.monotonic() - began < 5
    assert "t0 (try 1): (its log could not be read: TransportError)" in text
    assert text.count("its log was not requested") == len(FAILED) - 1
