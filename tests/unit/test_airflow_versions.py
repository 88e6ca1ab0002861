"""What differs between the Airflow versions that the package runs in."""

from __future__ import annotations

import asyncio
import threading

import pytest

from astro_provider.airflow_versions import ask_supervisor


async def test_a_blocking_call_returns_what_the_function_returns() -> None:
    assert await ask_supervisor(lambda *arguments: arguments, 1, 2) == (1, 2)


async def test_a_blocking_call_goes_on_when_its_caller_is_cancelled() -> None:
    """An answer of the supervisor that nobody reads would be read by the next one who asks, in Airflow 3.0 and 3.1."""
    from asgiref.sync import async_to_sync

    began, may_end, ended = asyncio.Event(), asyncio.Event(), threading.Event()

    async def asend() -> None:
        """Ask on the triggerer's event loop, as its blocking `send` does."""
        began.set()
        await may_end.wait()
        ended.set()

    calling = asyncio.create_task(ask_supervisor(lambda: async_to_sync(asend)()))
    await began.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    may_end.set()
    await asyncio.to_thread(ended.wait, 5)
    assert ended.is_set()
