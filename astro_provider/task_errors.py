"""Whether an error fails a task for good, fails it with retries, or skips it, and with which message."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from astro_provider.api.errors import AstroError, InvalidParameterError
from astro_provider.api.message import error_message, restated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from astro_provider.airflow_versions import BaseSensorOperator


@contextmanager
def final_errors(subject: str, log: Callable[[str], None]) -> Iterator[None]:
    """
    Fail the task for good where a retry cannot help, and let the messages of errors and skips begin with what counts.

    Other exceptions, such as a ``ValueError`` of a bug, are raised as they are.

    :param subject: what the task is about, such as ``dag 'nightly'``
    :param log: called with the reason of a skip
    :raise AirflowFailException: instead of an ``AstroError`` that is not retryable, or of an ``InvalidParameterError``
    :raise AirflowSkipException: the task is skipped, and the log has the reason
    """
    from astro_provider.airflow_versions import AirflowFailException, AirflowSkipException

    try:
        yield
    except AstroError as error:
        message = error_message("Failed", subject, error)
        if not error.retryable:
            # Without its cause, which has the same message: Airflow logs both.
            raise AirflowFailException(message) from None
        error.args = (message,)
        raise
    except InvalidParameterError as error:
        raise AirflowFailException(error_message("Failed", subject, error)) from None
    except AirflowSkipException as skip:
        if skip.args:
            skip_task(str(skip), log)
        raise


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


def skip_task(message: str, log: Callable[[str], None]) -> NoReturn:
    """
    Skip the task, and log why.

    :param message: what happened, for people
    :param log: called with the reason of a skip
    :raise LoggedSkip: always
    """
    from astro_provider.tasks.logged_skip import LoggedSkip

    log(message)
    raise LoggedSkip(message) from None


def skip_message(option: str, message: str) -> str:
    """
    Write the message of a task that is skipped instead of failed.

    :param option: the option of the sensor that has this effect
    :param message: the message with which it would fail
    """
    return restated(message, "Skipped", f"{{}}, but {option} is set")


def fail_or_skip(sensor: BaseSensorOperator, error: BaseException, subject: str) -> NoReturn:
    """
    End a sensor with an error, in the same way in every mode and Airflow version.

    :param sensor: the sensor
    :param error: the error
    :param subject: what the sensor waits for, such as ``dag 'nightly'``
    :raise AirflowSkipException: the sensor has ``soft_fail`` or ``never_fail``
    :raise AirflowFailException: the sensor has ``silent_fail``, with which Airflow would ignore ``error``
    """
    from astro_provider.airflow_versions import AirflowFailException

    message = error_message("Failed", subject, error)
    if sensor.soft_fail or sensor.never_fail:
        skip_task(skip_message("soft_fail" if sensor.soft_fail else "never_fail", message), sensor.log.info)
    if sensor.silent_fail:
        raise AirflowFailException(message) from None
    error.args = (message,)
    raise error from None
