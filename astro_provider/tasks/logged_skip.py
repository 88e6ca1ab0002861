"""The exception that skips a task whose log has the reason."""

from __future__ import annotations

from astro_provider.airflow_versions import AirflowSkipException


class LoggedSkip(AirflowSkipException):
    """
    Skips a task that has logged the reason.

    It has no ``args``, because Airflow would log the reason again. Measured: 3.3.2 logs "Skipping task." with the
    reason behind it, 2.11.2 logs the text of the exception. Check: Airflow logs an ``AirflowSkipException`` only if it
    has ``args``.

    :param message: why the task is skipped
    """

    def __init__(self, message: str) -> None:
        super().__init__()
        self.message = message

    def __str__(self) -> str:
        """Return why the task is skipped, for callbacks."""
        return self.message
