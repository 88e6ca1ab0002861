"""An HTTP proxy in front of a deployment, which records requests and can drop connections."""

from __future__ import annotations

from types import TracebackType

import aiohttp
from aiohttp import web
from yarl import URL

from dev.deployments import Deployment

# Headers of a single connection, or of a body that is sent with another framing.
NOT_FORWARDED = {"host", "connection", "keep-alive", "transfer-encoding", "content-length"}


class RecordingProxy:
    """
    Forwards requests to a deployment, unchanged, within its `async with` block.

    :param target: the deployment
    :param port: the port to listen on, by default any free one
    :ivar requests: method and path (below `/api/vN/`) of every request
    :ivar forbidden: those requests to which the target responded with 403
    :ivar is_cut: whether to close connections instead of forwarding
    """

    def __init__(self, target: Deployment, port: int = 0) -> None:
        self.requests: list[str] = []
        self.forbidden: list[str] = []
        self.is_cut = False
        self._target = target
        self._port = port
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
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
        """The number of open connections to this proxy."""
        assert self._runner.server
        return len(self._runner.server.connections)

    def count(self, request: str) -> int:
        """Count the requests like `GET dags/x`; a `*` at the end stands for anything."""
        if request.endswith("*"):
            return sum(each.startswith(request[:-1]) for each in self.requests)
        return self.requests.count(request)

    async def _handle(self, request: web.Request) -> web.Response:
        name = f"{request.method} {request.path.removeprefix(self._target.api + '/')}"
        self.requests.append(name)
        return await self.respond(name, request)

    async def respond(self, name: str, request: web.Request) -> web.Response:
        """Respond to a request. Subclasses override this."""
        return drop(request) if self.is_cut else await self.forward(name, request)

    async def forward(self, name: str, request: web.Request) -> web.Response:
        """Send a request to the target, and return its response."""
        async with self._session.request(
            request.method,
            URL(f"{self._target.url}{request.raw_path}", encoded=True),
            headers={key: value for key, value in request.headers.items() if key.lower() not in NOT_FORWARDED},
            data=await request.read(),
            allow_redirects=False,
        ) as response:
            if response.status == 403:
                self.forbidden.append(name)
            headers = {key: value for key, value in response.headers.items() if key.lower() not in NOT_FORWARDED}
            return web.Response(status=response.status, headers=headers, body=await response.read())


def drop(request: web.Request) -> web.Response:
    """Close the connection of a request without a response."""
    if request.transport:  # None if the client has closed it
        request.transport.abort()
    return web.Response()  # aiohttp needs one, but cannot send it any more
