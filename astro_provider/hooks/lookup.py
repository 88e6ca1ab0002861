"""The lookup of an Airflow connection, and its errors, for both hooks."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from astro_provider.airflow_versions import AirflowNotFoundException
from astro_provider.api.errors import ConnectionConfigError, ConnectionUnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from astro_provider.api.deployment import Deployment

_USER_INFO = re.compile(r"//\S*@")
_QUERY = re.compile(r"\?\S*")
_MAX_SHOWN_CHARACTERS = 200


@contextmanager
def lookup(conn_id: str) -> Iterator[None]:
    """
    Convert the exceptions of Airflow's lookup in this ``with`` block to errors of this package.

    :param conn_id: id of the connection
    :raise ConnectionUnreadableError: the connection does not exist, or cannot be read now
    """
    try:
        yield
    except AirflowNotFoundException:
        raise no_connection(conn_id) from None
    except Exception as error:
        raise unreadable(conn_id, error) from None


class LookupLog:
    """
    Logs messages of one hook about its connection, and each message once.

    :param info: logs a message at level INFO
    :param warn: logs a message at level WARNING
    """

    def __init__(self, info: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._info = info
        self._warn = warn
        self._problem: str | None = None
        self._assumption: str | None = None
        self._expires: datetime | None = None

    def connection_read(self, deployment: Deployment) -> None:
        """Record that the connection was read, and log its :attr:`Deployment.assumption`."""
        self._problem = None
        if deployment.assumption not in (None, self._assumption):
            self._assumption = deployment.assumption
            self._info(f"{deployment}: {deployment.assumption}")

    def warn_of_expiry(self, deployment: Deployment) -> None:
        """
        Log that the token of the connection expires soon.

        :param deployment: the target, as the connection describes it
        """
        warning = deployment.expiry_warning(time.time())
        if warning is not None and deployment.expires != self._expires:
            self._expires = deployment.expires
            self._warn(warning)

    @contextmanager
    def keeping_last(self) -> Iterator[None]:
        """Log, and do not raise, that the connection cannot be read or used in this ``with`` block."""
        try:
            yield
        except (ConnectionConfigError, ConnectionUnreadableError) as error:
            if str(error) != self._problem:  # a wait reloads the connection at each check
                self._problem = str(error)
                self._warn(f"The connection is used as it was read before. {error}")


def no_connection(conn_id: str) -> ConnectionUnreadableError:
    """
    Make the error for a connection that Airflow does not find.

    It is a retryable error: if a secrets backend, the metadata database or the API server does not respond, Airflow
    (2.11 to 3.3) reports that the connection is not defined.

    :param conn_id: id of the connection
    """
    return ConnectionUnreadableError(
        f"There is no such connection: {conn_id!r}. Create it, of type Astro (or HTTP), with the Deployment URL as "
        "Host. If it exists, what stores it does not answer: Airflow logs why (Airflow 3 at level DEBUG)."
    )


def unreadable(conn_id: str, error: Exception) -> ConnectionUnreadableError:
    """
    Make the error for a connection that cannot be read now.

    :param conn_id: id of the connection
    :param error: the exception of the lookup. The message has its first line, without credentials and query strings
    """
    first_line = str(error).strip().partition("\n")[0]
    shown = _QUERY.sub("?***", _USER_INFO.sub("//***@", first_line))[:_MAX_SHOWN_CHARACTERS]
    return ConnectionUnreadableError(
        f"Connection {conn_id!r} could not be read: {type(error).__name__}{f' ({shown})' if shown else ''}. "
        "Check what stores it: the secrets backend or the metadata database."
    )
