"""
Flows: generators that yield requests, pauses and other steps, and are sent responses.

A flow makes all decisions and does no I/O. A hook runs it: it takes each step that the flow yields, does what the step
says, and resumes the flow with the outcome. The blocking and the async hook differ only in how they do that.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from astro_provider.api.errors import TransportError

T = TypeVar("T")

MAX_RESPONSE_BYTES = 32 * 1024 * 1024
"""Size of the largest response that is read: far more than usual, and little enough for a worker or a triggerer."""

MAX_END_BYTES = 4 * 1024 * 1024
"""Bytes that are kept of a response if its end is enough: a whole task log of 31 MiB would take 235 MiB of memory."""


@dataclass(frozen=True)
class Request:
    """
    A request to send.

    :param method: HTTP method
    :param url: absolute URL, percent-encoded
    :param headers: all headers, including credentials; they are therefore not part of the ``repr``
    :param body: request body, not part of the ``repr`` either
    :param idempotent: whether the request can be sent again even if the target has already handled it
    :param only_end: whether only the last ``MAX_END_BYTES`` of the response are kept. Each HTTP library sends one such
        request at a time
    :param max_bytes: size after which the response is not read any further
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    idempotent: bool = False
    only_end: bool = False
    max_bytes: int = MAX_RESPONSE_BYTES


@dataclass(frozen=True)
class Response:
    """
    The response to a request.

    :param status: HTTP status
    :param headers: headers, their names in lower case
    :param body: response body. Reading stops after the request's ``max_bytes``; with ``only_end``, the body is the
        last ``MAX_END_BYTES``
    :param cut: whether the beginning of the body is missing
    :param resent: whether the request was sent more than once, and the target might have handled it each time
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool = False
    resent: bool = False


@dataclass(frozen=True)
class Pause:
    """
    A step that waits.

    :param seconds: how long
    """

    seconds: float


@dataclass(frozen=True)
class ReloadConnection:
    """A step that reads the Airflow connection again and passes the result to ``Client.use``."""


Step: TypeAlias = Request | Pause | ReloadConnection
"""What a flow yields."""

Outcome: TypeAlias = Response | TransportError | None
"""The result of a step: a response or an error after a request, ``None`` after any other step."""

Flow: TypeAlias = Generator[Step, "Response | None", T]
"""A generator that yields steps, is sent responses (``None`` after a step without one), and returns a ``T``."""


def resume(flow: Flow[T], outcome: Outcome) -> Step:
    """
    Resume a flow with the outcome of its last step.

    :param flow: the flow
    :param outcome: the outcome; ``None`` also starts a flow
    :return: the next step
    :raise StopIteration: the flow has returned; ``value`` is its result
    """
    return flow.throw(outcome) if isinstance(outcome, TransportError) else flow.send(outcome)
