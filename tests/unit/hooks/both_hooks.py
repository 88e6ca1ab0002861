"""Runs flows with the blocking and with the async hook, so that one test covers both."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import pytest

from astro_provider.api.errors import AstroError, TransportError
from astro_provider.hooks.astro import AstroHook
from astro_provider.hooks.astro_async import AsyncAstroHook
from tests.unit.scripted_target import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import Dag

T = TypeVar("T")
RunFlow: TypeAlias = "Callable[..., T]"


def run_blocking(*flows: Callable[[Client], Flow[T]]) -> T:
    """Run flows one after the other with one ``AstroHook``; the result is that of the last one."""
    with AstroHook() as hook:
        return [hook.run(flow(hook.client)) for flow in flows][-1]


def run_async(*flows: Callable[[Client], Flow[T]]) -> T:
    """Run flows one after the other with one ``AsyncAstroHook``; the result is that of the last one."""

    async def main() -> T:
        async with AsyncAstroHook() as hook:
            return [await hook.run(flow(await hook.client())) for flow in flows][-1]

    return asyncio.run(main())


BOTH_HOOKS = pytest.mark.parametrize("run_flow", [run_blocking, run_async], ids=["blocking", "async"])


def get_dag(client: Client) -> Flow[Any]:
    """Get a dag: a GET, which is sent again after an error."""
    return client.get_dag("d")


async def get_dag_async(hook: AsyncAstroHook) -> Dag:
    """Get a dag with an async hook that is open already."""
    client = await hook.client()
    return await hook.run(client.get_dag("d"))


def trigger(client: Client) -> Flow[Any]:
    """Trigger a dag run: a POST, which is sent once."""
    return client.trigger_dag_run("d", run_id="r")


def error_of(run_flow: RunFlow[Any], flow: Callable[[Client], Flow[Any]] = get_dag) -> AstroError:
    """Run a flow that fails, and return its error, which must not contain the token."""
    with pytest.raises(AstroError) as caught:
        run_flow(flow)
    assert TOKEN not in str(caught.value)
    return caught.value


def transport_error_of(
    run_flow: RunFlow[Any], flow: Callable[[Client], Flow[Any]] = get_dag, *, sent: bool | None = None
) -> TransportError:
    """Run a flow that fails without a response; ``sent`` is whether the target might have received the request."""
    error = error_of(run_flow, flow)
    assert isinstance(error, TransportError)
    assert sent in (None, error.sent)
    return error
