"""A target Deployment in memory, which responds as a test scripts it and runs flows without a network."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import parse_qs

from astro_provider.api.client import Client
from astro_provider.api.credentials import AuthorizationHeader
from astro_provider.api.deployment import Deployment
from astro_provider.api.errors import TransportError
from astro_provider.api.flow import MAX_END_BYTES, Pause, ReloadConnection, Response
from astro_provider.api.memory import Memory
from tests.unit import payloads

if TYPE_CHECKING:
    from astro_provider.api.credentials import Credentials
    from astro_provider.api.flow import Flow, Step

T = TypeVar("T")

TOKEN = "token-of-the-connection"
BEARER = AuthorizationHeader(f"Bearer {TOKEN}")


@dataclass(frozen=True)
class ReceivedRequest:
    """
    A request that a target has received.

    :param target: path and query; the whole URL if the request is for another host
    :param headers: by name in lower case
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.target.partition("?")[2])

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class ScriptedResponse:
    """
    A response of a target.

    :param chunks: the body in parts that are produced while it is sent; replaces `body`
    :param content_length: the value of Content-Length, if it differs from the length of the body
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: Iterable[bytes] | None = None
    content_length: int | None = None


def json_response(body: payloads.JSON, status: int = 200, **headers: str) -> ScriptedResponse:
    """Return a JSON response. In the names of headers, underscores stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ScriptedResponse(status, json.dumps(body).encode(), {"Content-Type": "application/json", **named})


def html_response(title: str = "Sign in", status: int = 200) -> ScriptedResponse:
    """Return an HTML page."""
    html = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body>Hello</body></html>"
    return ScriptedResponse(status, html.encode(), {"Content-Type": "text/html; charset=utf-8"})


def redirect_response(location: str, status: int = 302) -> ScriptedResponse:
    """Return a redirect."""
    return ScriptedResponse(status, b"", {"Location": location})


Script: TypeAlias = "ScriptedResponse | TransportError | Callable[[ReceivedRequest], ScriptedResponse]"


class ManualClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class ScriptedTarget:
    """
    A target Deployment that returns scripted responses and records the requests.

    To requests without a script it responds as an Airflow of its API version in which nothing exists.

    :param api_version: ``v1`` or ``v2``
    :param url: the URL of the Deployment
    :ivar received: all requests, in order
    :ivar pauses: the pauses of flows, in seconds
    :ivar reloads: the times at which flows reloaded the connection
    :ivar on_reload: called when a flow reloads the connection
    :ivar clock_lead: seconds by which the clock of the target is ahead
    """

    def __init__(self, api_version: str = "v2", url: str = "https://target.example.com/dz3uu847") -> None:
        self.api_version = api_version
        self.payloads = payloads.for_version(api_version)
        self.url = url
        self.received: list[ReceivedRequest] = []
        self.pauses: list[float] = []
        self.reloads: list[float] = []
        self.on_reload: Callable[[], None] = lambda: None
        self.clock = ManualClock()
        self.clock_lead = 0.0
        self._scripts: dict[tuple[str, str], list[Script]] = defaultdict(list)

    def on(self, method: str, path: str, *scripts: Script) -> None:
        """
        Script the responses to an endpoint.

        :param path: relative to the REST API, or absolute with a leading ``/``
        :param scripts: responses, errors to raise or functions to call, one for each request; the last one is repeated
        """
        self._scripts[method, self.api(path)] = list(scripts)

    def api(self, path: str) -> str:
        """Return the absolute path of a path relative to the REST API."""
        return path if path.startswith("/") or "://" in path else f"/api/{self.api_version}/{path}"

    def respond(self, received: ReceivedRequest) -> ScriptedResponse:
        """Record a request and return the response to it."""
        self.received.append(received)
        scripts = self._scripts[received.method, received.path]
        if not scripts:
            return self._default_response(received)
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        if isinstance(script, TransportError):
            raise script
        return script if isinstance(script, ScriptedResponse) else script(received)

    def _default_response(self, received: ReceivedRequest) -> ScriptedResponse:
        assert "://" not in received.target, f"unexpected request to {received.target}"
        if received.path.startswith(f"/api/{self.api_version}/"):
            return json_response(self.payloads.error(404, "Not Found"), 404)
        if self.api_version == "v1":
            return html_response("Airflow 404", 404)
        return (
            json_response(payloads.V1_REMOVED, 404)
            if received.method == "GET"
            else json_response(payloads.METHOD_NOT_ALLOWED, 405)
        )

    @property
    def calls_received(self) -> list[str]:
        """Method and path of each request, in order."""
        return [f"{received.method} {received.path}" for received in self.received]

    def client(self, credentials: Credentials | None = BEARER, memory: Memory | None = None, **fields: Any) -> Client:
        """Return a client for this target. The pauses of its flows advance the clock."""
        deployment = Deployment("http_conn", self.url, credentials, **fields)
        return Client(deployment, memory or Memory(), self.clock)

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end. This target responds to its requests; its pauses take no time."""
        try:
            step = next(flow)
            while True:
                answer = self._carry(step)
                step = flow.throw(answer) if isinstance(answer, TransportError) else flow.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def _carry(self, step: Step) -> Response | TransportError | None:
        if isinstance(step, Pause):
            self.pauses.append(step.seconds)
            self.clock.now += step.seconds
            return None
        if isinstance(step, ReloadConnection):
            self.reloads.append(self.clock.now)
            self.on_reload()
            return None
        headers = {name.lower(): value for name, value in step.headers.items()}
        try:
            answer = self.respond(
                ReceivedRequest(step.method, step.url.removeprefix(self.url), headers, step.body or b"")
            )
        except TransportError as error:
            return error
        cut = step.only_end and len(answer.body) > MAX_END_BYTES
        body = answer.body[-MAX_END_BYTES:] if cut else answer.body
        return Response(answer.status, {k.lower(): v for k, v in answer.headers.items()}, body, cut=cut)
