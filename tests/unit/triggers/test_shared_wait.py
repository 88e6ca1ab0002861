"""The payload of a wait with the watcher of a connection, whose connection might not be readable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astro_provider.api.errors import AccessDeniedError
from astro_provider.triggers.events import restart_event
from astro_provider.triggers.shared_wait import UNREADABLE_PAUSE_SECONDS, event_from_watcher
from astro_provider.waits.transient import MAX_REFUSED_AT_FIRST_SECONDS, MAX_REFUSED_SECONDS
from tests.unit.api.json_web_token import EXPIRING, expiring_token
from tests.unit.scripted_target import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from astro_provider.triggers.events import EventPayload
    from astro_provider.triggers.watcher.watcher import Watcher
    from tests.unit.task_runner import FakeClock

DONE = restart_event("done")


async def done(watcher: Watcher) -> EventPayload:
    return DONE


async def event(wait: Callable[[Watcher], Any] = done, *, has_answered: bool = False) -> tuple[EventPayload, list[str]]:
    warnings: list[str] = []
    payload = await event_from_watcher(
        "http_conn", wait, subject="dag 'd'", warn=warnings.append, has_answered=has_answered
    )
    return payload, warnings


async def test_payload_of_the_wait_is_returned(connect: Callable[..., None], clock: FakeClock) -> None:
    connect("https://target.example.com", password=TOKEN)
    assert await event() == (DONE, [])
    assert clock.sleeps == []


async def test_error_of_the_wait_is_an_event(connect: Callable[..., None], clock: FakeClock) -> None:
    async def refused(watcher: Watcher) -> EventPayload:
        raise AccessDeniedError("no", status=403)

    connect("https://target.example.com", password=TOKEN)
    payload, _ = await event(refused)
    assert (payload["outcome"], payload["message"], payload["error"]) == ("error", "no", "AccessDeniedError")


async def test_connection_that_cannot_be_read_is_read_again(
    connect: Callable[..., None], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def appear() -> None:
        if len(clock.sleeps) == 3:
            connect("https://target.example.com", password=TOKEN)

    clock.at_sleep = appear
    payload, warnings = await event()
    assert (payload, clock.sleeps) == (DONE, [UNREADABLE_PAUSE_SECONDS] * 3)
    assert len(warnings) == 1
    assert warnings[0].startswith("Still waiting: ")


async def test_connection_that_stays_unreadable_is_an_event(clock: FakeClock) -> None:
    payload, _ = await event()
    assert (payload["outcome"], sum(clock.sleeps)) == ("retryable_error", MAX_REFUSED_AT_FIRST_SECONDS)
    await event(has_answered=True)
    assert sum(clock.sleeps) == MAX_REFUSED_AT_FIRST_SECONDS + MAX_REFUSED_SECONDS


async def test_each_task_that_starts_to_wait_warns_once_of_a_token_that_expires_soon(
    connect: Callable[..., None], clock: FakeClock
) -> None:
    connect("https://target.example.com", password=expiring_token())
    for _ in range(2):  # of two tasks, which share the watcher
        (warning,) = (await event())[1]
        assert warning.startswith(EXPIRING)
    assert await event(has_answered=True) == (DONE, []), "the log of the task has the warning already"
