"""
The errors that this package raises.

* AstroError
  + RetryableError             a retryable error from an event whose class this version of the package does not have
  + ConnectionConfigError      a field of the Airflow connection is wrong
  + ConnectionUnreadableError  the Airflow connection cannot be read now, e.g. from a secrets backend
  + RequestNotPossible         a request that the target's Airflow version does not have, or that is not valid
  + TransportError             no response, or only a part: connection refused, timeout, connection lost
    - HostNotFoundError        the host name cannot be resolved
    - CertificateError         a TLS certificate is not accepted
  + NotAirflowError            a response, but not from an Airflow REST API
  + UnexpectedAnswerError      a response that the API does not describe: other JSON, empty or truncated
    - TooLargeAnswerError      a response that is larger than what is read
  + TargetError                an error response of the target's REST API
    - AccessDeniedError        401, 403
    - NotFoundError            404
    - ConflictError            409
    - InvalidRequestError      400, 422
    - TargetUnavailableError   408, 421, 425, 429, 5xx
  + NotTriggeredError          no run was created, because a parameter of the task forbids it in this situation
  + NotClearedError            no run was cleared, because the run or a task of it does not exist
  + UnexpectedEventError       a task was resumed with an event that is not of its trigger
  + DagRunFailedError          a dag run or task instance that a task waits for ended in a failed state
  + ResultError                the result of a run does not exist, is too large, or cannot be represented as JSON
  + ResponseCheckError         the function of a user that decides about a response raised an exception
  + WaitTimeoutError           a wait took longer than its timeout
* InvalidParameterError        a parameter has a value that cannot be used (a ``ValueError``)

``retryable`` is whether a retry of the task might help. An error with ``retryable = False`` fails a task without
retries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astro_provider.api.types import DagRun


class AstroError(Exception):
    """Base class of all errors about a target Deployment."""

    retryable: ClassVar[bool] = False
    """Whether a retry of the task might help."""

    def __reduce__(self) -> tuple[object, ...]:
        """Make every subclass picklable, whatever the parameters of its ``__init__``."""
        return _recreate, (type(self), str(self), vars(self))


def _recreate(kind: type[AstroError], message: str, attributes: dict[str, object]) -> AstroError:
    error = kind.__new__(kind, message)
    error.args = (message,)
    vars(error).update(attributes)
    return error


class RetryableError(AstroError):
    """A retryable error from an event whose class this version of the package does not have."""

    retryable = True


def error_named(kind: str, message: str, *, retryable: bool) -> AstroError:
    """
    Recreate an error from text, e.g. from the event of a trigger.

    :param kind: name of the error's class
    :param message: message of the error
    :param retryable: whether a retry of the task might help
    :return: an error of that class; a ``RetryableError`` or ``AstroError`` if there is no such class, or if
        ``retryable`` does not match it
    """
    known = globals().get(kind)
    if isinstance(known, type) and issubclass(known, AstroError) and known.retryable == retryable:
        return _recreate(known, message, {})
    return RetryableError(message) if retryable else AstroError(message)


class InvalidParameterError(ValueError):
    """
    A parameter has a value that cannot be used, in the DAG file or after its template was rendered.

    A retry would find the same value, so this error fails a running task for good. A plain ``ValueError`` does not,
    because it might be a bug.
    """


class ConnectionConfigError(AstroError):
    """
    A field of the Airflow connection is wrong.

    :param conn_id: id of the connection
    :param field: the field as the connection form names it, e.g. ``Host`` or ``Extra "api_version"``
    :param problem: what is wrong and what is expected
    """

    def __init__(self, conn_id: str, field: str, problem: str) -> None:
        super().__init__(f"Connection {conn_id!r}, field {field}: {problem}")
        self.conn_id = conn_id
        self.field = field


class ConnectionUnreadableError(AstroError):
    """The Airflow connection cannot be read now, e.g. because a secrets backend does not respond."""

    retryable = True


class RequestNotPossible(AstroError):  # noqa: N818  the name says what it is without "Error"
    """The target's Airflow version does not have the request, or it is not valid, e.g. because an id is empty."""


class TransportError(AstroError):
    """
    No response was received, or only a part of it.

    :param message: what happened, and for which host
    :param sent: whether the target might have received the request. Otherwise, any request can be sent again
    """

    retryable = True

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class HostNotFoundError(TransportError):
    """The host name of the Deployment URL cannot be resolved: it is misspelt, or DNS does not answer."""


class CertificateError(TransportError):
    """The TLS certificate of the target, or the client certificate of the connection, is not accepted."""


class NotAirflowError(AstroError):
    """The response is not from an Airflow REST API: a login page, a proxy, or another path of the host."""

    retryable = True


class UnexpectedAnswerError(AstroError):
    """The response is not what the API describes; the message has what was expected and how the response begins."""

    retryable = True


class TooLargeAnswerError(UnexpectedAnswerError):
    """The response is larger than what is read."""


class TargetError(AstroError):
    """
    The target's REST API responded with an error.

    :param message: what happened, where, and what to do
    :param status: HTTP status
    :param detail: the target's own reason; empty if it gives none
    """

    def __init__(self, message: str, *, status: int, detail: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail


class AccessDeniedError(TargetError):
    """401 or 403: the token is missing, has expired, or is of another Workspace or Deployment."""


class NotFoundError(TargetError):
    """
    404: the dag, run, task or other resource does not exist.

    :param similar: ids of existing dags that are similar to the requested one
    """

    retryable = True

    def __init__(self, message: str, *, status: int, detail: str = "", similar: Sequence[str] = ()) -> None:
        super().__init__(message, status=status, detail=detail)
        self.similar = tuple(similar)


class ConflictError(TargetError):
    """409: when triggering, a run with this run id or logical date exists already."""

    resent = False
    """Whether the request was sent more than once, so that the run might have been created by this request."""

    existing: DagRun | None = None
    """The run with the same run id, if it is known."""


class InvalidRequestError(TargetError):
    """400 or 422: the target refuses the request; the message has its reasons, field by field."""


class TargetUnavailableError(TargetError):
    """408, 421, 425, 429 or 5xx: the target, or a proxy in front of it, cannot respond now."""

    retryable = True


class NotTriggeredError(AstroError):
    """No run was created: one exists (``on_existing_run="fail"``), or the dag is paused (``if_paused="fail"``)."""


class NotClearedError(AstroError):
    """No run was cleared: the run, or one of the tasks to clear, does not exist."""


class UnexpectedEventError(AstroError):
    """A task was resumed with an event that the trigger it deferred to does not yield."""


class DagRunFailedError(AstroError):
    """A dag run or task instance ended in a failed state; the message has the failed tasks and the link."""

    retryable = True


class ResultError(AstroError):
    """The result of a run (``result_task_id``) does not exist, is too large, or cannot be represented as JSON."""


class ResponseCheckError(AstroError):
    """The ``response_check`` of a sensor raised an exception."""

    retryable = True


class WaitTimeoutError(AstroError):
    """A wait took longer than its ``timeout``."""

    retryable = True
