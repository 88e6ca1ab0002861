"""Which errors end a task for good, and which a retry may help with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from astro_provider.airflow_versions import AirflowFailException, AirflowSkipException
from astro_provider.api import errors
from astro_provider.api.errors import AstroError, InvalidParameterError
from astro_provider.task_errors import final_errors, parameter_errors


def _every_error() -> Iterator[AstroError]:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, AstroError) and kind is not errors.ConnectionConfigError:
            status = {"status": 400} if issubclass(kind, errors.TargetError) else {}
            yield kind("what happened", **status)
    yield errors.ConnectionConfigError("http_conn", "Host", "what happened")


@pytest.mark.parametrize("error", list(_every_error()), ids=lambda error: type(error).__name__)
def test_an_error_ends_the_task_for_good_unless_a_retry_may_help(error: AstroError) -> None:
    with (
        pytest.raises(type(error) if error.retryable else AirflowFailException, match="what happened") as caught,
        final_errors(),
    ):
        raise error
    assert error.retryable or caught.value.__cause__ is error


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
def test_a_retry_may_help_with_what_passes(name: str, retryable: bool) -> None:
    assert getattr(errors, name).retryable is retryable


def test_an_invalid_parameter_fails_the_task_for_good() -> None:
    with pytest.raises(AirflowFailException, match=r"^conf is wrong$"), final_errors():
        raise InvalidParameterError("conf is wrong")


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("x"), AirflowSkipException("x")])
def test_other_errors_are_left_alone(error: Exception) -> None:
    with pytest.raises(type(error)), final_errors():
        raise error


def test_an_invalid_parameter_is_an_airflow_fail_exception_and_a_value_error_at_parse_time() -> None:
    with pytest.raises(AirflowFailException, match=r"^conf is wrong$") as caught, parameter_errors():
        raise InvalidParameterError("conf is wrong")
    assert isinstance(caught.value, ValueError)


def test_a_bug_at_parse_time_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match=r"^a bug$") as caught, parameter_errors():
        raise ValueError("a bug")
    assert type(caught.value) is ValueError
