"""Which errors fail a task for good, and with which it is retried."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from astro_provider.airflow_versions import AirflowException, AirflowFailException, AirflowSkipException
from astro_provider.api import errors
from astro_provider.api.errors import AstroError, InvalidParameterError
from astro_provider.api.message import outcome_message
from astro_provider.task_errors import final_errors, parameter_errors


def _every_error() -> Iterator[AstroError]:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, AstroError) and kind is not errors.ConnectionConfigError:
            status = {"status": 400} if issubclass(kind, errors.TargetError) else {}
            yield kind("what happened", **status)
    yield errors.ConnectionConfigError("http_conn", "Host", "what happened")


@pytest.mark.parametrize("error", list(_every_error()), ids=lambda error: type(error).__name__)
def test_error_fails_the_task_for_good_unless_it_is_retryable(error: AstroError) -> None:
    with (
        pytest.raises(type(error) if error.retryable else AirflowFailException, match="what happened") as caught,
        final_errors("dag 'd'", print),
    ):
        raise error
    assert str(caught.value).startswith("Failed: dag 'd': ")
    # Airflow would log the message of the cause, too.
    assert caught.value.__cause__ is None
    assert error.retryable or caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("name", "retryable"),
    [
        ("TransportError", True),
        ("NotAirflowError", True),
        ("TargetUnavailableError", True),
        ("NotFoundError", True),
        ("DagRunFailedError", True),
        ("AccessDeniedError", False),
        ("ConflictError", False),
        ("InvalidRequestError", False),
        ("ConnectionConfigError", False),
        ("RequestNotPossible", False),
        ("NotTriggeredError", False),
        ("UnexpectedEventError", False),
    ],
)
def test_errors_that_might_pass_are_retryable(name: str, retryable: bool) -> None:
    assert getattr(errors, name).retryable is retryable


def test_invalid_parameter_fails_the_task_for_good() -> None:
    with pytest.raises(AirflowFailException, match=r"^Failed: dag 'd': conf is wrong$"), final_errors("dag 'd'", print):
        raise InvalidParameterError("conf is wrong")


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("x"), AirflowException("x")])
def test_other_errors_are_raised_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, final_errors("dag 'd'", print):
        raise error
    assert caught.value is error


def test_error_that_tells_an_outcome_keeps_its_message() -> None:
    message = outcome_message("Not triggered", "d", " is paused", details="Unpause it")
    with pytest.raises(AirflowFailException) as caught, final_errors("dag 'd'", print):
        raise errors.NotTriggeredError(message)
    assert str(caught.value) == message


def test_skip_is_logged_once_however_many_blocks_it_leaves() -> None:
    logged: list[str] = []
    with (
        pytest.raises(AirflowSkipException, match=r"^why$") as caught,
        final_errors("dag 'd'", logged.append),
        final_errors("dag 'd'", logged.append),
    ):
        raise AirflowSkipException("why")
    assert logged == ["why"]
    assert caught.value.args == (), "Airflow would log the reason again"


def test_invalid_parameter_at_parse_time_is_a_value_error_and_final_for_a_mapped_task() -> None:
    with pytest.raises(AirflowFailException, match=r"^conf is wrong$") as caught, parameter_errors():
        raise InvalidParameterError("conf is wrong")
    assert isinstance(caught.value, ValueError)


def test_bug_at_parse_time_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match=r"^a bug$") as caught, parameter_errors():
        raise ValueError("a bug")
    assert type(caught.value) is ValueError
