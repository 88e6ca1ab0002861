"""
What can go wrong between two Deployments.

* AstroError
  + RetryableError           nothing is known of it but that a retry may help
  + ConnectionConfigError    the Airflow connection cannot be used as it is
  + RequestNotPossible       this target's Airflow cannot do what was asked
  + ConnectionUnreadableError  the Airflow connection could not be read, e.g. from a secrets backend
  + TransportError           no (whole) answer: connection refused, timeout, broken off
    - HostNotFoundError      the host name cannot be resolved
    - CertificateError       the TLS certificate is not accepted
  + NotAirflowError          something answered, but no Airflow REST API
  + UnexpectedAnswerError    JSON that is not what the API describes; empty, truncated or too large
  + TargetError              the target's REST API answered with an error
    - AccessDeniedError      401, 403
    - NotFoundError          404
    - ConflictError          409
    - InvalidRequestError    400, 422
    - TargetUnavailableError 408, 421, 425, 429, 5xx
  + NotTriggeredError        no run was created, because a parameter of the task forbids it in this situation
  + UnexpectedEventError     a task was resumed with an event that is not of its trigger
  + DagRunFailedError        what was waited for in the target ended in a failed state
  + WaitTimeoutError         a wait took longer than it was allowed to
* InvalidParameterError      a parameter has a value that cannot be used (a ``ValueError``)

``retryable`` says whether a retry of the task may help; an error that is not retryable fails a task for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class AstroError(Exception):
    """Base of every error that this package raises about a target Deployment."""

    retryable: ClassVar[bool] = False

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling, whatever the class wants to be made of."""
        return _made_again, (type(self), str(self), vars(self))


def _made_again(kind: type[AstroError], message: str, attributes: dict[str, object]) -> AstroError:
    error = kind.__new__(kind, message)
    error.args = (message,)
    vars(error).update(attributes)
    return error


class RetryableError(AstroError):
    """An error of which nothing is known but that a retry of the task may help."""

    retryable = True


def error_named(kind: str, message: str, *, retryable: bool) -> AstroError:
    """
    Make an error again that was carried as text, e.g. in the event of a trigger.

    :param kind: name of its class
    :param message: its message
    :param retryable: whether a retry of the task may help, for a class that is not known here
    """
    known = globals().get(kind)
    if isinstance(known, type) and issubclass(known, AstroError) and known.retryable == retryable:
        return _made_again(known, message, {})
    return RetryableError(message) if retryable else AstroError(message)


class InvalidParameterError(ValueError):
    """
    A parameter has a value that cannot be used, in the DAG file or after its template was rendered.

    A retry would find the same value, so this error fails a running task for good. A plain ``ValueError`` does not,
    because it may be a bug.
    """


class ConnectionConfigError(AstroError):
    """
    The Airflow connection cannot be used: which one, which field, what is expected.

    :param conn_id: id of the connection
    :param field: the field as the connection form names it, e.g. ``Host`` or ``Extra "api_version"``
    :param problem: what is wrong with it and what is expected
    """

    def __init__(self, conn_id: str, field: str, problem: str) -> None:
        super().__init__(f"Connection {conn_id!r}, field {field}: {problem}")
        self.conn_id = conn_id
        self.field = field


class ConnectionUnreadableError(AstroError):
    """The Airflow connection could not be read now, e.g. because a secrets backend does not answer."""

    retryable = True


class RequestNotPossible(AstroError):  # noqa: N818  it says what it is; an "Error" more would not
    """The target's API version has no such thing, e.g. ``partition_key`` on Airflow 2."""


class TransportError(AstroError):
    """
    No answer came, or not all of it.

    :param message: what happened, for which host
    :param sent: whether the request may have reached the target; a request that was surely not sent can be
        sent again whatever it does
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
    """Something answered that is no Airflow REST API: a login page, a proxy, a wrong URL path."""

    retryable = True


class UnexpectedAnswerError(AstroError):
    """The answer is not what the API describes: the message has what was expected and how the answer begins."""

    retryable = True


class TargetError(AstroError):
    """
    The target's REST API answered with an error.

    :param message: what happened, where, and what to do
    :param status: HTTP status of the answer
    :param detail: the target's own reason, empty where it gave none
    """

    def __init__(self, message: str, *, status: int, detail: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail


class AccessDeniedError(TargetError):
    """401 or 403: the token is missing, expired, or of another Workspace or Deployment."""


class NotFoundError(TargetError):
    """
    404 from the REST API: no such dag, run, task or other resource.

    :param similar: ids that the Deployment does have and that look like the one asked for
    """

    retryable = True

    def __init__(self, message: str, *, status: int, detail: str = "", similar: Sequence[str] = ()) -> None:
        super().__init__(message, status=status, detail=detail)
        self.similar = tuple(similar)


class ConflictError(TargetError):
    """409: for a trigger, a run with this run id or logical date is there already."""

    resent = False
    """Whether the request was sent more than once, so that an earlier sending of it may have created what exists."""


class InvalidRequestError(TargetError):
    """400 or 422: the message has the target's own reasons, field by field."""


class TargetUnavailableError(TargetError):
    """408, 421, 425, 429 or 5xx: the target, or a proxy in front of it, cannot answer now."""

    retryable = True


class NotTriggeredError(AstroError):
    """No run was created: one exists (``on_existing_run="fail"``), or the dag is paused (``if_paused="fail"``)."""


class UnexpectedEventError(AstroError):
    """A task was resumed with an event that the trigger it deferred to does not yield."""


class DagRunFailedError(AstroError):
    """What was waited for in the target ended in a failed state; the message has what failed there, and the link."""

    retryable = True


class WaitTimeoutError(AstroError):
    """A wait took longer than its ``timeout``."""

    retryable = True
