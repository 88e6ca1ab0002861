"""The event between a trigger and the task that it resumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypedDict

from astro_provider.api.errors import AstroError, UnexpectedEventError, error_named
from astro_provider.api.message import outcome_message

if TYPE_CHECKING:
    from astro_provider.api.types import JSON, DagRun
    from astro_provider.waits.wait import Verdict


class EventOutcome(str, Enum):
    """How a wait in the triggerer ended."""

    SUCCESS = "success"
    """The runs or tasks are in allowed states, or a run was triggered for which the task does not wait."""
    FAILED = "failed"
    """A run or task is in a failed state."""
    SKIPPED = "skipped"
    """A run or task is in a skipped state, or the task is skipped because its run exists already."""
    TIMEOUT = "timeout"
    """The wait was not over at its deadline."""
    ERROR = "error"
    """An error that is not tolerated, and that a retry of the task cannot resolve."""
    RETRYABLE_ERROR = "retryable_error"
    """An error that is not tolerated any more, and that a retry of the task may resolve."""
    RESTART = "restart"
    """The trigger cannot do the work of the task, so that the task starts again on a worker."""


class EventPayload(TypedDict):
    """
    The payload of an event, as Airflow stores it.

    :param outcome: value of an :class:`EventOutcome`
    :param message: what happened, for people
    :param run: the dag run as it was last seen; ``None`` if there is none
    :param url: URL of that run in the target's UI
    :param error: name of the error's class; ``None`` if the outcome is not an error
    """

    outcome: str
    message: str
    run: DagRun | None
    url: str | None
    error: str | None


class ResponsePayload(EventPayload):
    """
    The payload of an event that ends a wait for a response.

    :param response: the parsed response that was accepted; ``None`` if there is none, or if it is empty
    """

    response: JSON


@dataclass(frozen=True)
class WaitEvent:
    """
    An event that was read and validated.

    :param outcome: how the wait ended
    :param message: what happened, for people
    :param run: the dag run as it was last seen; ``None`` if there is none
    :param url: URL of that run in the target's UI
    :param error: the error; ``None`` if the outcome is not an error
    """

    outcome: EventOutcome
    message: str
    run: DagRun | None = None
    url: str | None = None
    error: AstroError | None = None


def verdict_event(verdict: Verdict) -> EventPayload:
    """
    Make the payload for the verdict of a wait.

    :param verdict: the last verdict; ``pending`` means that the deadline has come
    """
    outcome = EventOutcome.TIMEOUT if verdict.outcome == "pending" else EventOutcome(verdict.outcome)
    return _payload(outcome, verdict.message, run=verdict.run, url=verdict.url)


def error_event(error: AstroError) -> EventPayload:
    """
    Make the payload for an error that ended a wait.

    :param error: the error
    """
    outcome = EventOutcome.RETRYABLE_ERROR if error.retryable else EventOutcome.ERROR
    return _payload(outcome, str(error), error=type(error).__name__)


def success_event(run: DagRun) -> EventPayload:
    """
    Make the payload for a task that triggered a run and does not wait for it.

    :param run: the run
    """
    message = outcome_message("Success", run["dag_id"], ", its run is triggered", run_id=run["dag_run_id"])
    return _payload(EventOutcome.SUCCESS, message, run=run)


def response_event(message: str, response: JSON) -> ResponsePayload:
    """
    Make the payload for a response that was accepted.

    :param message: which response, for people
    :param response: the parsed response
    """
    return ResponsePayload(**_payload(EventOutcome.SUCCESS, message), response=response)


def timeout_event(message: str) -> EventPayload:
    """
    Make the payload for a wait for something else than runs whose deadline came.

    :param message: what was last seen, for people
    """
    return _payload(EventOutcome.TIMEOUT, message)


def skip_event(reason: str) -> EventPayload:
    """
    Make the payload for a task that is skipped.

    :param reason: why, as a sentence
    """
    return _payload(EventOutcome.SKIPPED, reason)


def restart_event(reason: str) -> EventPayload:
    """
    Make the payload after which the task starts again on a worker.

    :param reason: why the trigger cannot do the work of the task, as a sentence
    """
    return _payload(EventOutcome.RESTART, reason)


def read_event(payload: Mapping[str, Any] | None) -> WaitEvent:
    """
    Read and validate the payload that a task is resumed with.

    :param payload: the payload
    :return: the event
    :raise UnexpectedEventError: the payload is not from a trigger of this package
    """
    try:
        if not isinstance(payload, Mapping):
            raise TypeError
        outcome = EventOutcome(payload["outcome"])
    except (TypeError, KeyError, ValueError):
        raise UnexpectedEventError(f"The task was resumed with an event that it does not know: {payload!r}") from None
    message = str(payload.get("message"))
    error = None
    if outcome in (EventOutcome.ERROR, EventOutcome.RETRYABLE_ERROR):
        retryable = outcome is EventOutcome.RETRYABLE_ERROR
        error = error_named(str(payload.get("error")), message, retryable=retryable)
    return WaitEvent(outcome, message, run=payload.get("run"), url=payload.get("url"), error=error)


def _payload(
    outcome: EventOutcome,
    message: str,
    *,
    run: DagRun | None = None,
    url: str | None = None,
    error: str | None = None,
) -> EventPayload:
    return EventPayload(outcome=outcome.value, message=message, run=run, url=url, error=error)
