"""The base of the blocking hook: reads the Airflow connection and runs flows."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from astro_provider.airflow_versions import BaseHook
from astro_provider.api.client import client_of
from astro_provider.api.errors import TransportError
from astro_provider.api.flow import Pause, ReloadConnection, resume
from astro_provider.connection import read_connection
from astro_provider.hooks.http_requests import SyncCarrier
from astro_provider.hooks.lookup import LookupLog, lookup

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from astro_provider.api.client import Client
    from astro_provider.api.deployment import Deployment
    from astro_provider.api.flow import Flow, Outcome, Step
    from astro_provider.connection import AirflowConnection

T = TypeVar("T")


class DeploymentHook(BaseHook):
    """
    Runs the flows of one Deployment's client with ``requests``.

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``, by default ``http_conn``
    """

    warns_of_expiry = True
    """Whether the log says that the token of the connection expires soon: not if the log of the task has said it."""

    def __init__(self, http_conn_id: str = "http_conn", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.http_conn_id = http_conn_id
        self._lookups = LookupLog(self.log.info, self.log.warning)

    @cached_property
    def deployment(self) -> Deployment:
        """
        The target, as the Airflow connection describes it. The connection is read at the first access.

        :raise ConnectionConfigError: a field of the connection is wrong
        :raise ConnectionUnreadableError: the connection does not exist, or cannot be read now
        """
        return self._read_connection()

    def _read_connection(self) -> Deployment:
        with lookup(self.http_conn_id):
            connection = self.get_connection(self.http_conn_id)
            extra = connection.extra_dejson
        deployment = read_connection(cast("AirflowConnection", connection), extra)
        self._lookups.connection_read(deployment)
        if self.warns_of_expiry:
            self._lookups.warn_of_expiry(deployment)
        return deployment

    def reload_connection(self) -> None:
        """
        Read the Airflow connection again, and use it for all further requests.

        If the connection cannot be read or a field is wrong, the hook logs a warning and keeps the previous one.
        """
        if "deployment" not in self.__dict__:
            return  # the first request will read it
        with self._lookups.keeping_last():
            deployment = self._read_connection()
            if deployment.http != self.deployment.http:
                self.close()
            self.deployment = deployment
            self.client.use(deployment)

    @cached_property
    def client(self) -> Client:
        """The target's REST API as flows, which :meth:`run` runs."""
        return client_of(self.deployment)

    @cached_property
    def _carrier(self) -> SyncCarrier:
        return SyncCarrier(self.deployment)

    def run(self, flow: Flow[T]) -> T:
        """
        Run a flow of :attr:`client` until it returns.

        :param flow: the flow
        :return: the result of the flow
        :raise AstroError: the flow failed; see :mod:`astro_provider.api.errors`
        """
        outcome: Outcome = None
        try:
            while True:
                outcome = self._do(resume(flow, outcome))
        except StopIteration as end:
            return cast("T", end.value)
        finally:
            # If the task was killed while the flow fetched a token, this ends the wait of other flows for the token.
            flow.close()

    def _do(self, step: Step) -> Outcome:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        if isinstance(step, ReloadConnection):
            self.reload_connection()
            return None
        try:
            return self._carrier.send(step)
        except TransportError as error:
            return error

    def close(self) -> None:
        """Close the HTTP connections to the target; a later request opens new ones."""
        carrier = self.__dict__.pop("_carrier", None)
        if carrier is not None:
            carrier.close()

    def __enter__(self) -> Self:
        """Return the hook; the end of the ``with`` block closes its HTTP connections."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the HTTP connections to the target."""
        self.close()
