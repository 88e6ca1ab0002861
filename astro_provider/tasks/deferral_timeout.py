"""The message of a deferred task that Airflow has ended, because no triggerer ended its wait in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astro_provider.api.message import subject_message

if TYPE_CHECKING:
    from astro_provider.airflow_versions import BaseOperator, Context

    _Base = BaseOperator
else:
    _Base = object


class DeferralTimeoutMixin(_Base):
    """
    Mixin for operators and sensors; ``_subject`` says what their task is about.

    The triggers end a wait before its ``timeout`` or ``execution_timeout``. If no triggerer runs, or if it is too busy,
    Airflow ends the deferral itself.
    """

    @property
    def _subject(self) -> str:
        """What the task is about, in messages."""
        raise NotImplementedError

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Resume the task on a worker. Airflow calls this method.

        Measured: Airflow's error is "Trigger timeout" on 3.3.2 and "Trigger/execution timeout" on 2.11.2, and names
        nothing else. Check: the sensor ``hurried`` in ``tests/integration/test_sensors.py``.

        :param next_method: the method that the task was deferred with, or ``__fail__``
        :param next_kwargs: arguments of the method, or the reason of a failure
        :param context: the context of the task
        :return: what the method returns
        :raise Exception: what Airflow or the method raises, with a message that names what was waited for
        """
        from astro_provider.airflow_versions import AirflowException, AirflowSkipException

        reason = str((next_kwargs or {}).get("error"))
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowException as error:
            if next_method != "__fail__" or not reason.endswith("timeout"):
                raise
            details = f"Airflow ended the deferral ({reason}), as no triggerer did in time. Is a triggerer running?"
            if isinstance(error, AirflowSkipException):
                from astro_provider.tasks.logged_skip import LoggedSkip

                message = subject_message("Skipped", self._subject, details=f"Timed out. {details}")
                self.log.info("%s", message)
                raise LoggedSkip(message) from None
            error.args = (subject_message("Timed out", self._subject, details=details),)
            raise error from None
