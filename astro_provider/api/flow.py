"""What a flow is: a generator that yields requests and pauses, and is sent responses."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

T = TypeVar("T")

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""More than any sane answer, less than what would hurt a worker or a triggerer."""

MAX_END_BYTES = 4 * 1024 * 1024
"""How much is kept of an answer of which only the end is read: a log of 31 MiB takes 235 MiB of memory as a whole."""


@dataclass(frozen=True)
class Request:
    """
    A request to carry.

    :param headers: all of them, credentials included, so they are not logged
    :param idempotent: whether it can be sent again although the target may have handled it already
    :param only_end: whether no more than the last ``MAX_END_BYTES`` of the answer are kept; one such request at a time
        is carried in a process
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    idempotent: bool = False
    only_end: bool = False


@dataclass(frozen=True)
class Response:
    """
    What came back.

    :param headers: names in lower case
    :param body: at most ``MAX_ANSWER_BYTES`` and a little more long, or ``MAX_END_BYTES`` where only the end is kept
    :param cut: whether the body is only the end of the answer
    :param resent: whether the target may have handled the same request before, and its answer was lost
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool = False
    resent: bool = False


@dataclass(frozen=True)
class Pause:
    """Wait this many seconds, then go on."""

    seconds: float


@dataclass(frozen=True)
class ReloadConnection:
    """Read the Airflow connection again, give what it says to the client (``Client.use``), then go on."""


Step: TypeAlias = Request | Pause | ReloadConnection
"""What a flow asks the hook to do."""

Flow: TypeAlias = Generator[Step, "Response | None", T]
"""Yields steps, is sent the response to a request and ``None`` after any other step, returns a ``T``."""
