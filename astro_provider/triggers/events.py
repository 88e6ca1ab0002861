"""The event between a trigger and the task that it resumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from astro_provider.api.errors import AstroError, UnexpectedEventError, error_named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astro_provider.api.types import DagRun
    from astro_provider.waits.wait import Verdict

EventOutcome: TypeAlias = Literal["success", "failed", "skipped", "timeout", "error", "changed"]


@dataclass(frozen=True)
class WaitEvent:
    """
    How a wait in the triggerer ended.

    :param outcome: ``success``, ``failed`` and ``skipped`` as the end states say; ``timeout``: its time was over;
        ``error``: an error that is not tolerated; ``changed``: the DAG was changed meanwhile, so the task begins again
    :param message: what happened, for people
    :param run: the dag run as it was last seen, if any
    :param url: where the target's UI shows that run
    :param error: of the outcome ``error``, the error itself; its class says whether a retry may help
    """

    outcome: EventOutcome
    message: str
    run: DagRun | None = None
    url: str | None = None
    error: AstroError | None = None


def event_of(verdict: Verdict) -> dict[str, Any]:
    """
    Write a verdict as the payload of an event.

    :param verdict: what the wait came to; ``pending`` where its time was over
    :return: what :func:`read_event` reads
    """
    outcome = "timeout" if verdict.outcome == "pending" else verdict.outcome
    return {"outcome": outcome, "message": verdict.message, "run": verdict.run, "url": verdict.url}


def error_event(message: str, *, retryable: bool, kind: str = "AstroError") -> dict[str, Any]:
    """
    Write what ended a wait without a verdict as the payload of an event.

    :param message: what happened
    :param retryable: whether a retry of the task may help
    :param kind: name of the class of the error
    """
    return {
        "outcome": "error",
        "message": message,
        "retryable": retryable,
        "error": kind,
        "run": None,
        "url": None,
    }


def read_event(payload: Mapping[str, Any] | None) -> WaitEvent:
    """
    Read the payload of an event.

    :param payload: what a task was resumed with
    :return: the event
    :raise UnexpectedEventError: it is not an event of this package's triggers, so nothing is known of the wait
    """
    if not isinstance(payload, dict) or payload.get("outcome") not in get_args(EventOutcome):
        raise UnexpectedEventError(f"The task was resumed with an event that it does not know: {payload!r}")
    error = None
    message = str(payload.get("message"))
    if payload["outcome"] == "error":
        error = error_named(str(payload.get("error")), message, retryable=bool(payload.get("retryable")))
    return WaitEvent(
        outcome=cast("EventOutcome", payload["outcome"]),
        message=message,
        run=payload.get("run"),
        url=payload.get("url"),
        error=error,
    )
