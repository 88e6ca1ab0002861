"""The event between a trigger and its task: making, storing, reading and validating its payload."""

from __future__ import annotations

import json
from typing import Any

import pytest

from astro_provider.api import errors
from astro_provider.api.errors import (
    AccessDeniedError,
    AstroError,
    ConnectionConfigError,
    NotFoundError,
    TransportError,
    UnexpectedEventError,
)
from astro_provider.triggers.events import (
    EventOutcome,
    EventPayload,
    WaitEvent,
    error_event,
    read_event,
    restart_event,
    verdict_event,
)
from astro_provider.waits.wait import Verdict
from tests.unit import payloads

RUN = payloads.for_version("v2").dag_run("r", "failed")
URL = "https://target.example.com/r"


def stored(payload: EventPayload) -> Any:
    """Return a payload as a task is resumed with it, after Airflow has stored it."""
    return json.loads(json.dumps(payload))


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        ("success", EventOutcome.SUCCESS),
        ("failed", EventOutcome.FAILED),
        ("skipped", EventOutcome.SKIPPED),
        ("pending", EventOutcome.TIMEOUT),
    ],
)
def test_verdict_is_read_from_its_payload(verdict: Any, outcome: EventOutcome) -> None:
    payload = verdict_event(Verdict(verdict, "message", run=RUN, url=URL))
    assert read_event(stored(payload)) == WaitEvent(outcome, "message", run=RUN, url=URL)


def test_verdict_without_a_run_is_read_from_its_payload() -> None:
    payload = verdict_event(Verdict("pending", "never seen"))
    assert read_event(stored(payload)) == WaitEvent(EventOutcome.TIMEOUT, "never seen")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (TransportError("broken off"), EventOutcome.RETRYABLE_ERROR),
        (NotFoundError("deleted", status=404), EventOutcome.RETRYABLE_ERROR),
        (AccessDeniedError("refused", status=403), EventOutcome.ERROR),
        (ConnectionConfigError("http_conn", "Host", "is empty"), EventOutcome.ERROR),
        (AstroError("other"), EventOutcome.ERROR),
    ],
    ids=repr,
)
def test_error_is_read_from_its_payload(error: AstroError, outcome: EventOutcome) -> None:
    event = read_event(stored(error_event(error)))
    assert (event.outcome, event.message, event.run, event.url) == (outcome, str(error), None, None)
    assert isinstance(event.error, AstroError)
    assert (str(event.error), event.error.retryable) == (str(error), error.retryable)


def error_classes(base: type[AstroError] = AstroError) -> list[type[AstroError]]:
    own = [kind for kind in base.__subclasses__() if kind.__module__ == errors.__name__]
    return [base, *(kind for each in own for kind in error_classes(each))]


@pytest.mark.parametrize("kind", error_classes())
def test_error_of_every_class_keeps_its_message_and_whether_it_is_retryable(kind: type[AstroError]) -> None:
    error = kind.__new__(kind)
    Exception.__init__(error, "message")
    event = read_event(stored(error_event(error)))
    assert event.error is not None
    assert (event.message, str(event.error), event.error.retryable) == (str(error), str(error), error.retryable)


def test_restart_is_read_from_its_payload() -> None:
    event = read_event(stored(restart_event("The DAG was changed meanwhile.")))
    assert event == WaitEvent(EventOutcome.RESTART, "The DAG was changed meanwhile.")


@pytest.mark.parametrize("outcome", EventOutcome)
def test_every_outcome_can_be_read(outcome: EventOutcome) -> None:
    event = read_event({"outcome": outcome.value, "message": "m", "run": RUN, "url": URL, "error": "TransportError"})
    assert (event.outcome, event.message, event.run, event.url) == (outcome, "m", RUN, URL)
    is_error = outcome in (EventOutcome.ERROR, EventOutcome.RETRYABLE_ERROR)
    assert (event.error is not None) == is_error


@pytest.mark.parametrize("outcome", [EventOutcome.ERROR, EventOutcome.RETRYABLE_ERROR])
@pytest.mark.parametrize("name", ["UnknownError", "Exception", "", None])
def test_error_of_an_unknown_class_keeps_its_message_and_whether_it_is_retryable(
    outcome: EventOutcome, name: str | None
) -> None:
    event = read_event({"outcome": outcome.value, "message": "message", "error": name})
    assert isinstance(event.error, AstroError)
    assert (str(event.error), event.error.retryable) == ("message", outcome is EventOutcome.RETRYABLE_ERROR)


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        [],
        "success",
        7,
        {"status": "success"},
        {"outcome": None},
        {"outcome": []},
        {"outcome": {}},
        {"outcome": "pending"},
        {"outcome": "SUCCESS"},
        {"outcome": "retryable error"},
    ],
    ids=str,
)
def test_unknown_payload_is_an_unexpected_event(payload: Any) -> None:
    with pytest.raises(UnexpectedEventError, match="resumed with an event that it does not know") as caught:
        read_event(payload)
    assert repr(payload) in str(caught.value)
