"""Whether an error fails a task for good, fails it with retries, or skips it."""

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


def skip_message(option: str, message: str) -> str:
    """Write the message of a task that is skipped instead of failed, because the sensor has ``option``."""
    return f"Skipped, as {option} is set: {message}"


def fail_or_skip(sensor: BaseSensorOperator, error: BaseException) -> NoReturn:
    """
    End a sensor with an error, in the same way in every mode and Airflow version.

    :param sensor: the sensor
    :param error: the error
    :raise AirflowSkipException: the sensor has ``soft_fail`` or ``never_fail``
    :raise AirflowFailException: the sensor has ``silent_fail``, with which Airflow would ignore ``error``
    """
    from astro_provider.airflow_versions import AirflowFailException, AirflowSkipException

    if sensor.soft_fail or sensor.never_fail:
        option = "soft_fail" if sensor.soft_fail else "never_fail"
        raise AirflowSkipException(skip_message(option, str(error))) from error
    if sensor.silent_fail:
        raise AirflowFailException(str(error)) from error
    raise error
