"""A target Deployment that says what a test tells it to; in memory, to drive flows by hand."""

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
    A request as it arrived.

    :param target: path and query; the whole URL where it is of another host
    :param headers: names in lower case
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
    What a target says.

    :param chunks: the body, where it is made while it is sent
    :param promised: Content-Length, where it is not the body's
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: Iterable[bytes] | None = None
    promised: int | None = None


def json_response(body: payloads.JSON, status: int = 200, **headers: str) -> ScriptedResponse:
    """Answer with JSON; an underscore in a header's name stands for a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ScriptedResponse(status, json.dumps(body).encode(), {"Content-Type": "application/json", **named})


def html_response(title: str = "Sign in", status: int = 200) -> ScriptedResponse:
    """Answer with an HTML page."""
    html = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body>Hello</body></html>"
    return ScriptedResponse(status, html.encode(), {"Content-Type": "text/html; charset=utf-8"})


def redirect_response(location: str, status: int = 302) -> ScriptedResponse:
    """Answer with a redirect."""
    return ScriptedResponse(status, b"", {"Location": location})


Script: TypeAlias = "ScriptedResponse | TransportError | Callable[[ReceivedRequest], ScriptedResponse]"


class ManualClock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class ScriptedTarget:
    """
    What answers, and what it was asked.

    :param generation: how it answers what nothing was said about: as an Airflow of this generation that has no such
        thing
    :ivar lead: seconds by which its clock is ahead
    """

    def __init__(self, api_version: str = "v2", url: str = "https://target.example.com/dz3uu847") -> None:
        self.api_version = api_version
        self.payloads = payloads.of(api_version)
        self.url = url
        self.received: list[ReceivedRequest] = []
        self.pauses: list[float] = []
        self.reloads: list[float] = []
        self.on_reload: Callable[[], None] = lambda: None
        self.clock = ManualClock()
        self.lead = 0.0
        self._said: dict[tuple[str, str], list[Script]] = defaultdict(list)

    def on(self, method: str, path: str, *said: Script) -> None:
        """Say these one after another, the last one from then on; a path without ``/`` in front is one of the API."""
        self._said[method, self.api(path)] = list(said)

    def api(self, path: str) -> str:
        """Say where a path of the API is."""
        return path if path.startswith("/") or "://" in path else f"/api/{self.api_version}/{path}"

    def answer(self, received: ReceivedRequest) -> ScriptedResponse:
        """Answer a request."""
        self.received.append(received)
        said = self._said[received.method, received.path]
        if not said:
            return self._nothing_there(received)
        next_one = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(next_one, TransportError):
            raise next_one
        return next_one if isinstance(next_one, ScriptedResponse) else next_one(received)

    def _nothing_there(self, received: ReceivedRequest) -> ScriptedResponse:
        assert "://" not in received.target, f"nobody expected a request to {received.target}"
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
        """Every request that came, without its query."""
        return [f"{received.method} {received.path}" for received in self.received]

    def client(self, credentials: Credentials | None = BEARER, memory: Memory | None = None, **fields: Any) -> Client:
        """Make a client of this target, and of the clock that its pauses move."""
        deployment = Deployment("http_conn", self.url, credentials, **fields)
        return Client(deployment, memory or Memory(), self.clock)

    def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end: its requests are answered here, its pauses take no time."""
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
            answer = self.answer(
                ReceivedRequest(step.method, step.url.removeprefix(self.url), headers, step.body or b"")
            )
        except TransportError as error:
            return error
        cut = step.only_end and len(answer.body) > MAX_END_BYTES
        body = answer.body[-MAX_END_BYTES:] if cut else answer.body
        return Response(answer.status, {k.lower(): v for k, v in answer.headers.items()}, body, cut=cut)
