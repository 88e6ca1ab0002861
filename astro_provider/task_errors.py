"""How errors of the target end a task: for good, or with a retry."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from astro_provider.api.errors import AstroError, InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from astro_provider.airflow_versions import BaseSensorOperator


@contextmanager
def final_errors() -> Iterator[None]:
    """
    Fail the task for good where a retry cannot help.

    Other exceptions, such as a ``ValueError`` of a bug, are raised as they are.

    :raise AirflowFailException: instead of an ``AstroError`` that is not retryable, or of an ``InvalidParameterError``
    """
    from astro_provider.airflow_versions import AirflowFailException

    try:
        yield
    except AstroError as error:
        if error.retryable:
            raise
        raise AirflowFailException(str(error)) from error
    except InvalidParameterError as error:
        raise AirflowFailException(str(error)) from error


@contextmanager
def parameter_errors() -> Iterator[None]:
    """
    Make an invalid parameter final also for a mapped task, whose operator is only created when the task runs.

    :raise ParameterError: instead of an ``InvalidParameterError``
    """
    try:
        yield
    except InvalidParameterError as error:
        from astro_provider.tasks.parameter_error import ParameterError

        raise ParameterError(str(error)) from None


def skipped_instead(option: str, message: str) -> str:
    """Say why a task that would have failed is skipped."""
    return f"Skipped, as {option} is set: {message}"


def fail_or_skip(sensor: BaseSensorOperator, error: BaseException) -> NoReturn:
    """
    End a sensor with an error, the same in every mode and every Airflow version.

    :param sensor: the sensor
    :param error: the error
    :raise AirflowSkipException: the sensor has ``soft_fail`` or ``never_fail``
    :raise AirflowFailException: the sensor has ``silent_fail``, which would take the error for a failed poke
    """
    from astro_provider.airflow_versions import AirflowFailException, AirflowSkipException

    for option in ("soft_fail", "never_fail"):
        if getattr(sensor, option, False):
            raise AirflowSkipException(skipped_instead(option, str(error))) from error
    if getattr(sensor, "silent_fail", False):
        raise AirflowFailException(str(error)) from error
    raise error
