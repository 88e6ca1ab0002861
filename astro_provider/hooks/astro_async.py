"""AsyncAstroHook: the same flows as AstroHook's, carried by ``aiohttp``, for triggers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar, cast

from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from astro_provider.api.client import client_of
from astro_provider.api.errors import TransportError
from astro_provider.api.exchange import Pause
from astro_provider.connection import no_connection, read_connection
from astro_provider.hooks.http import AsyncCarrier

if TYPE_CHECKING:
    from types import TracebackType

    from astro_provider.api.client import Client
    from astro_provider.api.exchange import Flow
    from astro_provider.connection import AirflowConnection

T = TypeVar("T")


class AsyncAstroHook:
    """
    The async twin, for triggers: the same flows, carried by ``aiohttp``.

    ``async with AsyncAstroHook("http_conn") as hook: run = await hook.get_dag_run(dag_id, run_id)``

    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``
    """

    def __init__(self, http_conn_id: str = "http_conn") -> None:
        self.http_conn_id = http_conn_id
        self._opened: tuple[Client, AsyncCarrier] | None = None

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

        :raise ConnectionConfigError: there is no such connection, or a field of it is wrong
        """
        return (await self._open())[0]

    async def _open(self) -> tuple[Client, AsyncCarrier]:
        if self._opened is None:
            try:
                connection = await get_async_connection(self.http_conn_id)
            except AirflowNotFoundException:
                raise no_connection(self.http_conn_id) from None
            extra = await get_async_extra_dejson(connection)
            deployment = read_connection(cast("AirflowConnection", connection), extra)
            self._opened = client_of(deployment), AsyncCarrier(deployment)
        return self._opened

    async def run(self, flow: Flow[T]) -> T:
        """
        Run a flow of :meth:`client` to its end: carry its requests, wait out its pauses.

        :param flow: the flow
        :return: what the flow returns
        """
        _, carrier = await self._open()
        try:
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = flow.send(None)
                    continue
                try:
                    response = await carrier.send(step)
                except TransportError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(response)
        except StopIteration as end:
            return cast("T", end.value)

    async def close(self) -> None:
        """Close the connections to the target; a later call reads the Airflow connection anew and opens others."""
        if self._opened is not None:
            await self._opened[1].close()
            self._opened = None
