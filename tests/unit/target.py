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
from tests.unit import answers

if TYPE_CHECKING:
    from astro_provider.api.credentials import Credentials
    from astro_provider.api.flow import Flow, Step

T = TypeVar("T")

TOKEN = "token-of-the-connection"
BEARER = AuthorizationHeader(f"Bearer {TOKEN}")


@dataclass(frozen=True)
class Seen:
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
class Answer:
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


def says(body: answers.JSON, status: int = 200, **headers: str) -> Answer:
    """Answer with JSON; an underscore in a header's name stands for a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json", **named})


def page(title: str = "Sign in", status: int = 200) -> Answer:
    """Answer with an HTML page."""
    html = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body>Hello</body></html>"
    return Answer(status, html.encode(), {"Content-Type": "text/html; charset=utf-8"})


def moved(location: str, status: int = 302) -> Answer:
    """Answer with a redirect."""
    return Answer(status, b"", {"Location": location})


Said: TypeAlias = "Answer | TransportError | Callable[[Seen], Answer]"


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Target:
    """
    What answers, and what it was asked.

    :param generation: how it answers what nothing was said about: as an Airflow of this generation that has no such
        thing
    :ivar lead: seconds by which its clock is ahead
    """

    def __init__(self, generation: str = "v2", url: str = "https://target.example.com/dz3uu847") -> None:
        self.generation = generation
        self.answers = answers.of(generation)
        self.url = url
        self.seen: list[Seen] = []
        self.pauses: list[float] = []
        self.reloads: list[float] = []
        self.on_reload: Callable[[], None] = lambda: None
        self.clock = Clock()
        self.lead = 0.0
        self._said: dict[tuple[str, str], list[Said]] = defaultdict(list)

    def on(self, method: str, path: str, *said: Said) -> None:
        """Say these one after another, the last one from then on; a path without ``/`` in front is one of the API."""
        self._said[method, self.api(path)] = list(said)

    def api(self, path: str) -> str:
        """Say where a path of the API is."""
        return path if path.startswith("/") or "://" in path else f"/api/{self.generation}/{path}"

    def answer(self, seen: Seen) -> Answer:
        """Answer a request."""
        self.seen.append(seen)
        said = self._said[seen.method, seen.path]
        if not said:
            return self._nothing_there(seen)
        next_one = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(next_one, TransportError):
            raise next_one
        return next_one if isinstance(next_one, Answer) else next_one(seen)

    def _nothing_there(self, seen: Seen) -> Answer:
        assert "://" not in seen.target, f"nobody expected a request to {seen.target}"
        if seen.path.startswith(f"/api/{self.generation}/"):
            return says(self.answers.error(404, "Not Found"), 404)
        if self.generation == "v1":
            return page("Airflow 404", 404)
        return says(answers.V1_REMOVED, 404) if seen.method == "GET" else says(answers.METHOD_NOT_ALLOWED, 405)

    @property
    def asked(self) -> list[str]:
        """Every request that came, without its query."""
        return [f"{seen.method} {seen.path}" for seen in self.seen]

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
            answer = self.answer(Seen(step.method, step.url.removeprefix(self.url), headers, step.body or b""))
        except TransportError as error:
            return error
        cut = step.only_end and len(answer.body) > MAX_END_BYTES
        body = answer.body[-MAX_END_BYTES:] if cut else answer.body
        return Response(answer.status, {k.lower(): v for k, v in answer.headers.items()}, body, cut=cut)
