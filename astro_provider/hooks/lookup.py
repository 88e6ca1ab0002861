"""How both hooks look up their Airflow connection, and what they make of a lookup that fails."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from astro_provider.airflow_versions import AirflowNotFoundException
from astro_provider.api.errors import ConnectionConfigError, ConnectionUnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from astro_provider.api.deployment import Deployment

_USER_INFO = re.compile(r"//\S*@")
_QUERY = re.compile(r"\?\S*")
_MAX_SHOWN_CHARACTERS = 200


@contextmanager
def lookup(conn_id: str) -> Iterator[None]:
    """
    Turn what Airflow's lookup raises in this block into an error of this package.

    :param conn_id: id of the connection
    :raise ConnectionUnreadableError: there is no such connection, or it cannot be read now
    """
    try:
        yield
    except AirflowNotFoundException:
        raise no_connection(conn_id) from None
    except Exception as error:
        raise unreadable(conn_id, error) from None


class LookupLog:
    """
    What one hook logs about its connection, each thing once.

    :param info: logs a line
    :param warn: logs a warning
    """

    def __init__(self, info: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._info = info
        self._warn = warn
        self._problem: str | None = None
        self._assumption: str | None = None

    def read(self, deployment: Deployment) -> None:
        """Log what the connection leaves open and this package assumes."""
        self._problem = None
        if deployment.assumption not in (None, self._assumption):
            self._assumption = deployment.assumption
            self._info(f"{deployment}: {deployment.assumption}")

    @contextmanager
    def keeping_last(self) -> Iterator[None]:
        """Tolerate in this block that the connection cannot be read, or not be used, and log it."""
        try:
            yield
        except (ConnectionConfigError, ConnectionUnreadableError) as error:
            if str(error) != self._problem:  # a wait reloads the connection at every check
                self._problem = str(error)
                self._warn(f"The connection is used as it was read before. {error}")


def no_connection(conn_id: str) -> ConnectionUnreadableError:
    """
    Make the error for a connection that Airflow does not find.

    It is one that may pass, because Airflow (2.11 to 3.3) reports a secrets backend, a metadata database or an API
    server that does not answer as a connection that is not defined.

    :param conn_id: id of the connection
    """
    return ConnectionUnreadableError(
        f"There is no such connection: {conn_id!r}. Create it, of type Astro (or HTTP), with the Deployment URL as "
        "Host. If it exists, what stores it does not answer: Airflow logs why (Airflow 3 at level DEBUG)."
    )


def unreadable(conn_id: str, error: Exception) -> ConnectionUnreadableError:
    """
    Make the error for a connection that could not be read now.

    :param conn_id: id of the connection
    :param error: what its lookup raised; at most its first line is shown, without credentials and query strings
    """
    first_line = str(error).strip().partition("\n")[0]
    shown = _QUERY.sub("?***", _USER_INFO.sub("//***@", first_line))[:_MAX_SHOWN_CHARACTERS]
    return ConnectionUnreadableError(
        f"Connection {conn_id!r} could not be read: {type(error).__name__}{f' ({shown})' if shown else ''}. "
        "Check what stores it: the secrets backend or the metadata database."
    )
