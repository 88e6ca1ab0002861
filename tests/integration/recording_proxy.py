"""What stands between a watcher and its target: it counts what passes, and can be cut."""

from __future__ import annotations

from types import TracebackType

import aiohttp
from aiohttp import web
from yarl import URL

from dev.deployments import Deployment

# Of one connection only, or of a body that is not as it was.
NOT_PASSED_ON = {"host", "connection", "keep-alive", "transfer-encoding", "content-length"}


class RecordingProxy:
    """
    Passes requests on to a deployment, unchanged, while its `async with` block lasts.

    :param target: the deployment
    :param port: where it listens, by default on any free port
    :ivar asked: method and path below the API of every request, as it arrived
    :ivar refused: those that the target answered with 403
    :ivar cut: hang up instead of passing on
    """

    def __init__(self, target: Deployment, port: int = 0) -> None:
        self.asked: list[str] = []
        self.refused: list[str] = []
        self.cut = False
        self._target = target
        self._port = port
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)

    async def __aenter__(self) -> RecordingProxy:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._session.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    @property
    def connections(self) -> int:
        """How many connections to it are open."""
        assert self._runner.server
        return len(self._runner.server.connections)

    def count(self, request: str) -> int:
        """How often it was asked this, such as `GET dags/x`; beginnings count with a `*` at their end."""
        if request.endswith("*"):
            return sum(asked.startswith(request[:-1]) for asked in self.asked)
        return self.asked.count(request)

    async def _pass(self, request: web.Request) -> web.Response:
        name = f"{request.method} {request.path.removeprefix(self._target.api + '/')}"
        self.asked.append(name)
        if self.cut:
            assert request.transport
            request.transport.abort()
            return web.Response()  # which nobody hears
        async with self._session.request(
            request.method,
            URL(f"{self._target.url}{request.raw_path}", encoded=True),
            headers={key: value for key, value in request.headers.items() if key.lower() not in NOT_PASSED_ON},
            data=await request.read(),
            allow_redirects=False,
        ) as answer:
            if answer.status == 403:
                self.refused.append(name)
            headers = {key: value for key, value in answer.headers.items() if key.lower() not in NOT_PASSED_ON}
            return web.Response(status=answer.status, headers=headers, body=await answer.read())
