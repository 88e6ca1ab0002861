"""
An HTTP proxy in front of a deployment that makes requests fail as a test says.

    with fault_proxy(target) as proxy:
        held = proxy.add(Hold("POST dags/quick/dagRuns", "some text in its body"))
        held.wait()
        held.release()
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web

from dev.deployments import Deployment
from tests.integration.recording_proxy import RecordingProxy, drop

T = TypeVar("T")
Forward = Callable[[], Awaitable[web.Response]]


@dataclass
class Fault:
    """
    What happens to certain requests. The first fault of a proxy that matches a request handles it.

    :param request: method and path, below `/api/vN/`; a `*` at the end stands for anything
    :param containing: text that the path or the body of the request must contain
    :param times: the number of requests that it handles
    """

    request: str
    containing: str = ""
    times: int = 1
    handled: int = field(default=0, init=False)

    def matches(self, name: str, body: str) -> bool:
        wanted, exact = self.request.removesuffix("*"), not self.request.endswith("*")
        is_same = name == wanted if exact else name.startswith(wanted)
        return self.handled < self.times and is_same and self.containing in f"{name} {body}"

    async def apply(self, request: web.Request, forward: Forward) -> web.Response:
        raise NotImplementedError


class Drop(Fault):
    """Closes the connection; the target never receives the request."""

    async def apply(self, request: web.Request, forward: Forward) -> web.Response:
        return drop(request)


class Unavailable(Fault):
    """Responds with 503; the target never receives the request."""

    async def apply(self, request: web.Request, forward: Forward) -> web.Response:
        return web.Response(status=503, text="no healthy upstream")


class LoseResponse(Fault):
    """Lets the target handle the request, then closes the connection without a response."""

    async def apply(self, request: web.Request, forward: Forward) -> web.Response:
        await forward()
        return drop(request)


@dataclass
class Hold(Fault):
    """
    Holds a request until the test releases it.

    :param after_response: whether the target handles the request before it is held, by default afterwards
    """

    after_response: bool = False

    def __post_init__(self) -> None:
        self._is_held = threading.Event()
        self._is_done = threading.Event()
        self._is_dropped = False

    def wait(self, timeout: float = 60) -> None:
        """Wait until a request is held."""
        if not self._is_held.wait(timeout):
            raise TimeoutError(f"no request {self.request} with {self.containing!r} within {timeout:g} s")

    def release(self) -> None:
        """Let the request go on, after `wait`, and wait until the target has handled it."""
        self._loop.call_soon_threadsafe(self._released.set)
        if not self._is_done.wait(60):
            raise TimeoutError(f"the released request {self.request} was not handled within 60 s")

    def drop(self) -> None:
        """Close the connection, without forwarding what was not forwarded."""
        self._is_dropped = True
        self.release()

    async def apply(self, request: web.Request, forward: Forward) -> web.Response:
        response = await forward() if self.after_response else None
        self._loop, self._released = asyncio.get_running_loop(), asyncio.Event()
        self._is_held.set()
        try:
            await self._released.wait()
            if self._is_dropped:
                return drop(request)
            return response or await forward()
        finally:
            self._is_done.set()


@dataclass
class FailAtRandom(Fault):
    """
    Makes requests fail: drops the connection before or after the target has handled the request, or responds with 503.

    :param probability: the share of the requests that fail
    :param seed: of the random numbers
    :ivar failed: the number of requests that failed
    """

    probability: float = 0.05
    seed: int = 20261124
    failed: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)

    async def apply(self, request: web.Request, forward: Forward) -> web.Response:
        if self._dice.random() >= self.probability:
            return await forward()
        self.failed += 1
        kind = self._dice.choice(("drop", "lose", "503 before", "503 after"))
        if kind in ("lose", "503 after"):
            await forward()
        if kind in ("drop", "lose"):
            return drop(request)
        return web.Response(status=503, text="no healthy upstream")


class FaultProxy(RecordingProxy):
    """A proxy with faults; made by `fault_proxy`, whose thread runs its event loop."""

    def __init__(self, target: Deployment) -> None:
        super().__init__(target)
        self._faults: list[Fault] = []
        self._loop = asyncio.get_running_loop()

    def add(self, fault: T) -> T:
        """Add a fault, and return it."""
        assert isinstance(fault, Fault)
        self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Remove a fault."""
        self._faults.remove(fault)

    def go_away(self) -> None:
        """Close all connections and refuse new ones."""

        async def close() -> None:
            for site in list(self._runner.sites):
                await site.stop()
            assert self._runner.server
            for connection in list(self._runner.server.connections):
                connection.force_close()

        self._port = self._runner.addresses[0][1]
        self._run(close())

    def come_back(self) -> None:
        """Accept connections again, at the same port."""
        self._run(web.TCPSite(self._runner, "127.0.0.1", self._port).start())

    async def respond(self, name: str, request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        fault = next((fault for fault in self._faults if fault.matches(name, body)), None)
        if fault is None:
            return await super().respond(name, request)
        fault.handled += 1
        return await fault.apply(request, lambda: self.forward(name, request))

    def _run(self, coroutine: Awaitable[T]) -> T:
        async def run() -> T:
            return await coroutine

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(60)


@contextmanager
def fault_proxy(target: Deployment) -> Iterator[FaultProxy]:
    """Run a proxy in front of a deployment, on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fault proxy", daemon=True)
    thread.start()

    async def start() -> FaultProxy:
        return await FaultProxy(target).__aenter__()  # type: ignore[return-value]

    async def stop() -> None:
        await proxy.__aexit__(None, None, None)

    proxy = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()
