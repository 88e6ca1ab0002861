"""AsyncAstroHook: the same flows as AstroHook's, carried by ``aiohttp``, for triggers."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from astro_provider.airflow_versions import get_async_connection
from astro_provider.api.client import client_of
from astro_provider.api.errors import TransportError
from astro_provider.api.flow import Pause, ReloadConnection
from astro_provider.connection import read_connection
from astro_provider.hooks.http_aiohttp import AsyncCarrier
from astro_provider.hooks.lookup import LookupLog, lookup

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from astro_provider.api.client import Client
    from astro_provider.api.deployment import Deployment
    from astro_provider.api.flow import Flow, Response, Step
    from astro_provider.api.types import JSON, Dag, DagRun, LogEntry, Pool, TaskInstance
    from astro_provider.connection import AirflowConnection

T = TypeVar("T")

log = logging.getLogger(__name__)

_LARGE_ANSWER = 256 * 1024
"""Bytes of an answer whose reading would keep the event loop from other work for too long."""


class _FlowEndError(Exception):
    """A flow's end, as a StopIteration cannot cross from a thread."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


def _sent(flow: Flow[T], response: Response) -> Step:
    try:
        return flow.send(response)
    except StopIteration as end:
        raise _FlowEndError(end.value) from None


class AsyncAstroHook:
    """
    The async twin, for triggers: the same flows, carried by ``aiohttp``.

    ``async with AsyncAstroHook("http_conn") as hook: run = await hook.get_dag_run(dag_id, run_id)``

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
        """Return the hook; leaving the block closes its connections."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections to the target."""
        await self.close()

    async def client(self) -> Client:
        """
        Get the target's REST API as flows, for :meth:`run`.

        :raise ConnectionConfigError: a field of the connection is wrong
        :raise ConnectionUnreadableError: there is no such connection, or it cannot be read now
        """
        return (await self._open())[0]

    async def _open(self) -> tuple[Client, AsyncCarrier]:
        if self._opened is None:
            deployment = await self._read_connection()
            # Somebody else may have been quicker, and theirs would never be closed.
            self._opened = self._opened or (client_of(deployment), AsyncCarrier(deployment))
        return self._opened

    async def _read_connection(self) -> Deployment:
        with lookup(self.http_conn_id):
            connection, extra = await get_async_connection(self.http_conn_id)
        deployment = read_connection(cast("AirflowConnection", connection), extra)
        self._lookups.read(deployment)
        return deployment

    async def reload_connection(self) -> None:
        """
        Read the Airflow connection again; requests from now on use what it says now.

        If it cannot be read, or a field of it is wrong, the hook keeps what it read last and logs a warning. Those
        who call it at the same time share one read.
        """
        before = self._reloads
        async with self._reloading:
            if self._reloads == before:
                await self._reload()
                self._reloads += 1

    async def _reload(self) -> None:
        if self._opened is None:
            return  # it has not been read yet: the next request reads it
        client, carrier = self._opened
        with self._lookups.keeping_last():
            deployment = await self._read_connection()
            if deployment.http != client.deployment.http:
                # Requests that are under way still need it.
                self._former_carriers.append(carrier)
                carrier = AsyncCarrier(deployment)
            client.use(deployment)
            self._opened = client, carrier

    async def run(self, flow: Flow[T]) -> T:
        """
        Run a flow of :meth:`client` to its end: carry its requests, wait out its pauses, reload the connection.

        :param flow: the flow
        :return: what the flow returns
        """
        try:
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = flow.send(None)
                    continue
                if isinstance(step, ReloadConnection):
                    await self.reload_connection()
                    step = flow.send(None)
                    continue
                try:
                    # Which carrier is asked each time: one that was closed in between would open another session.
                    response = await (await self._open())[1].send(step)
                except TransportError as error:
                    step = flow.throw(error)
                    continue
                if len(response.body) > _LARGE_ANSWER:
                    step = await asyncio.to_thread(_sent, flow, response)
                else:
                    step = flow.send(response)
        except StopIteration as end:
            return cast("T", end.value)
        except _FlowEndError as end:
            return cast("T", end.value)
        finally:
            with suppress(ValueError):  # the thread that a cancelled task has left behind still runs it
                flow.close()  # a task that is cancelled must not leave others waiting for what it began

    async def request(
        self, method: str, endpoint: str, *, params: Mapping[str, JSON] | None = None, json: JSON = None
    ) -> JSON:
        """Ask any endpoint; see :meth:`AstroHook.request`."""
        return await self.run((await self.client()).request(method, endpoint, params=params, body=json))

    async def list_dags(self, **filters: JSON) -> list[Dag]:
        """List dags; see :meth:`AstroHook.list_dags`."""
        return await self.run((await self.client()).list_dags(**filters))

    async def get_dag(self, dag_id: str) -> Dag:
        """Get a dag; see :meth:`AstroHook.get_dag`."""
        return await self.run((await self.client()).get_dag(dag_id))

    async def pause_dag(self, dag_id: str) -> Dag:
        """Pause a dag; see :meth:`AstroHook.pause_dag`."""
        return await self.run((await self.client()).set_paused(dag_id, paused=True))

    async def unpause_dag(self, dag_id: str) -> Dag:
        """Unpause a dag; see :meth:`AstroHook.unpause_dag`."""
        return await self.run((await self.client()).set_paused(dag_id, paused=False))

    async def trigger_dag_run(self, dag_id: str, **fields: Any) -> DagRun:
        """Trigger a dag run; takes and raises what :meth:`AstroHook.trigger_dag_run` does."""
        return await self.run((await self.client()).trigger_dag_run(dag_id, **fields))

    async def get_dag_run(self, dag_id: str, run_id: str) -> DagRun:
        """Get a dag run; see :meth:`AstroHook.get_dag_run`."""
        return await self.run((await self.client()).get_dag_run(dag_id, run_id))

    async def list_dag_runs(self, dag_id: str, **filters: JSON) -> list[DagRun]:
        """List a dag's runs; see :meth:`AstroHook.list_dag_runs`."""
        return await self.run((await self.client()).list_dag_runs(dag_id, **filters))

    async def clear_dag_run(self, dag_id: str, run_id: str, *, only_failed: bool = False) -> DagRun:
        """Clear a dag run; see :meth:`AstroHook.clear_dag_run`."""
        return await self.run((await self.client()).clear_dag_run(dag_id, run_id, only_failed=only_failed))

    async def cancel_dag_run(self, dag_id: str, run_id: str) -> DagRun:
        """Cancel a dag run; see :meth:`AstroHook.cancel_dag_run`."""
        return await self.run((await self.client()).cancel_dag_run(dag_id, run_id))

    async def list_task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """List task instances; see :meth:`AstroHook.list_task_instances`."""
        return await self.run((await self.client()).list_task_instances(dag_id, run_id))

    async def get_task_log(
        self, dag_id: str, run_id: str, task_id: str, *, try_number: int | None = None, map_index: int = -1
    ) -> list[LogEntry]:
        """Get a task's log; see :meth:`AstroHook.get_task_log`."""
        flow = (await self.client()).get_task_log(dag_id, run_id, task_id, try_number=try_number, map_index=map_index)
        return await self.run(flow)

    async def get_xcom(
        self, dag_id: str, run_id: str, task_id: str, *, key: str = "return_value", map_index: int | None = None
    ) -> JSON:
        """Get an XCom; see :meth:`AstroHook.get_xcom`."""
        return await self.run((await self.client()).get_xcom(dag_id, run_id, task_id, key=key, map_index=map_index))

    async def list_pools(self) -> list[Pool]:
        """List pools; see :meth:`AstroHook.list_pools`."""
        return await self.run((await self.client()).list_pools())

    async def close(self) -> None:
        """Close the connections to the target; a later call reads the Airflow connection anew and opens others."""
        async with self._reloading:  # or the reload would open another carrier
            carriers, self._former_carriers = self._former_carriers, []
            if self._opened is not None:
                carriers.append(self._opened[1])
                self._opened = None
        for carrier in carriers:
            await carrier.close()
