"""AsyncAstroHook: runs flows with ``aiohttp``, for triggers."""

from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakKeyDictionary

from astro_provider.airflow_versions import get_async_connection
from astro_provider.api.client import client_of
from astro_provider.api.errors import TransportError
from astro_provider.api.flow import Pause, ReloadConnection, Response, resume
from astro_provider.connection import read_connection
from astro_provider.hooks.http_aiohttp import AsyncCarrier
from astro_provider.hooks.lookup import LookupLog, lookup

if TYPE_CHECKING:
    from types import TracebackType

    from airflow.sdk import Connection

    from astro_provider.api.client import Client
    from astro_provider.api.deployment import Deployment
    from astro_provider.api.flow import Flow, Outcome, Step
    from astro_provider.connection import AirflowConnection

T = TypeVar("T")

log = logging.getLogger(__name__)

_LARGE_BODY_BYTES = 256 * 1024
"""Size above which a response is parsed in a thread, because it would block the event loop for too long."""


class _FlowEndError(Exception):
    """Carries the result of a flow out of a thread, which a ``StopIteration`` cannot leave."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


def _resume_in_thread(flow: Flow[T], outcome: Outcome) -> Step:
    try:
        return resume(flow, outcome)
    except StopIteration as end:
        raise _FlowEndError(end.value) from None


_reads: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Task[tuple[Connection, dict[str, Any]]]]] = (
    WeakKeyDictionary()
)
"""The reads of connections that are under way, by event loop and connection id."""


async def _shared_read(conn_id: str) -> tuple[Connection, dict[str, Any]]:
    """
    Read a connection.

    Calls at the same time share one read: a triggerer that starts begins many triggers at once, and a secrets backend
    can be slow, or limit the number of requests.
    """
    reads = _reads.setdefault(asyncio.get_running_loop(), {})
    read = reads.get(conn_id)
    if read is None:
        read = reads[conn_id] = asyncio.create_task(get_async_connection(conn_id))
        read.add_done_callback(lambda _: reads.pop(conn_id))
    return await asyncio.shield(read)  # the end of one caller does not end the read of the others


class AsyncAstroHook:
    """
    Runs the flows of a Deployment's client with ``aiohttp``, for triggers.

    It is not part of the public API. It has no method per endpoint; a trigger runs a flow of the client::

        async with AsyncAstroHook("http_conn") as hook:
            client = await hook.client()
            run = await hook.run(client.get_dag_run(dag_id, run_id))

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``
    """

    def __init__(self, http_conn_id: str = "http_conn") -> None:
        self.http_conn_id = http_conn_id
        self._opened: tuple[Client, AsyncCarrier] | None = None
        self._former_carriers: list[AsyncCarrier] = []
        self._reloading = asyncio.Lock()
        self._reloads = 0
        self._lookups = LookupLog(log.info, log.warning)

    async def __aenter__(self) -> AsyncAstroHook:
        """Return the hook; the end of the ``async with`` block closes its HTTP connections."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the HTTP connections to the target."""
        await self.close()

    async def client(self) -> Client:
        """
        Return the target's REST API as flows, which :meth:`run` runs. The connection is read at the first call.

        :raise ConnectionConfigError: a field of the connection is wrong
        :raise ConnectionUnreadableError: the connection does not exist, or cannot be read now
        """
        return (await self._open())[0]

    async def _open(self) -> tuple[Client, AsyncCarrier]:
        if self._opened is None:
            deployment = await self._read_connection()
            # Another coroutine might have opened a carrier meanwhile. A carrier that is replaced here would stay open.
            self._opened = self._opened or (client_of(deployment), AsyncCarrier(deployment))
        return self._opened

    async def _read_connection(self) -> Deployment:
        with lookup(self.http_conn_id):
            connection, extra = await _shared_read(self.http_conn_id)
        deployment = read_connection(cast("AirflowConnection", connection), extra)
        self._lookups.connection_read(deployment)
        return deployment

    async def reload_connection(self) -> None:
        """
        Read the Airflow connection again, and use it for all further requests.

        If the connection cannot be read or a field is wrong, the hook logs a warning and keeps the previous one.
        Concurrent calls share one read.
        """
        before = self._reloads
        async with self._reloading:
            if self._reloads == before:
                await self._reload()
                self._reloads += 1

    async def _reload(self) -> None:
        if self._opened is None:
            return  # the first request will read it
        client, carrier = self._opened
        with self._lookups.keeping_last():
            deployment = await self._read_connection()
            if deployment.http != client.deployment.http:
                # Requests that are under way still use the former carrier, so it is closed later.
                self._former_carriers.append(carrier)
                carrier = AsyncCarrier(deployment)
            client.use(deployment)
            self._opened = client, carrier

    async def run(self, flow: Flow[T], slots: asyncio.Semaphore | None = None) -> T:
        """
        Run a flow of :meth:`client` until it returns.

        :param flow: the flow
        :param slots: limits the number of requests that are under way in all flows that share it; by default, there is
            no limit
        :return: the result of the flow
        :raise AstroError: the flow failed; see :mod:`astro_provider.api.errors`
        """
        outcome: Outcome = None
        try:
            while True:
                if isinstance(outcome, Response) and len(outcome.body) > _LARGE_BODY_BYTES:
                    step = await asyncio.to_thread(_resume_in_thread, flow, outcome)
                else:
                    step = resume(flow, outcome)
                outcome = await self._do(step, slots)
        except StopIteration as end:
            return cast("T", end.value)
        except _FlowEndError as end:
            return cast("T", end.value)
        finally:
            # If the trigger was cancelled while the flow fetched a token, this ends the wait of other flows for the
            # token.
            with suppress(ValueError):  # a thread that a cancelled trigger leaves behind is still running the flow
                flow.close()

    async def _do(self, step: Step, slots: asyncio.Semaphore | None) -> Outcome:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        if isinstance(step, ReloadConnection):
            await self.reload_connection()
            return None
        try:
            # The hook might have been closed since the last request of the flow. The carrier of that request would open
            # another session, which would never be closed.
            async with slots or nullcontext():
                _, carrier = await self._open()
                return await carrier.send(step)
        except TransportError as error:
            return error

    async def close(self) -> None:
        """Close the HTTP connections to the target; a later request reads the Airflow connection again."""
        async with self._reloading:  # a reload could open another carrier meanwhile
            carriers, self._former_carriers = self._former_carriers, []
            if self._opened is not None:
                carriers.append(self._opened[1])
                self._opened = None
        for carrier in carriers:
            await carrier.close()
