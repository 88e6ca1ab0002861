"""The two ways to ask a target, so that one test can be for both."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import pytest

from astro_provider.hooks.astro import AstroHook
from astro_provider.hooks.astro_async import AsyncAstroHook

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.client import Client
    from astro_provider.api.exchange import Flow

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
