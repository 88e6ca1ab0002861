"""The two ways to ask a target, so that one test can be for both."""

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

T = TypeVar("T")
Ask: TypeAlias = "Callable[..., T]"


def ask_blocking(*questions: Callable[[Client], Flow[T]]) -> T:
    """Ask with ``AstroHook``, all with one hook; the last answer."""
    with AstroHook() as hook:
        return [hook.run(question(hook.client)) for question in questions][-1]


def ask_async(*questions: Callable[[Client], Flow[T]]) -> T:
    """Ask with ``AsyncAstroHook``, all with one hook; the last answer."""

    async def main() -> T:
        async with AsyncAstroHook() as hook:
            return [await hook.run(question(await hook.client())) for question in questions][-1]

    return asyncio.run(main())


BOTH = pytest.mark.parametrize("ask", [ask_blocking, ask_async], ids=["blocking", "async"])


def get_dag(client: Client) -> Flow[Any]:
    """Ask for a dag: a GET, which is sent again."""
    return client.get_dag("d")


def trigger(client: Client) -> Flow[Any]:
    """Trigger a dag run: a POST, which is sent once."""
    return client.trigger_dag_run("d", run_id="r")


def error_of(ask: Ask[Any], question: Callable[[Client], Flow[Any]] = get_dag) -> AstroError:
    with pytest.raises(AstroError) as caught:
        ask(question)
    assert TOKEN not in str(caught.value)
    return caught.value


def trouble_of(
    ask: Ask[Any], question: Callable[[Client], Flow[Any]] = get_dag, *, sent: bool | None = None
) -> TransportError:
    """Ask, and see the request not get through; ``sent`` says whether it may have arrived all the same."""
    error = error_of(ask, question)
    assert isinstance(error, TransportError)
    assert sent in (None, error.sent)
    return error
