"""Waits that are for neither runs nor tasks: those that request the same share one request per interval."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.errors import AccessDeniedError, NotFoundError, TransportError
from astro_provider.triggers.watcher import registry
from astro_provider.triggers.watcher.checker import MAX_SECONDS_PAST_DEADLINE
from astro_provider.triggers.watcher.registry import shared_watcher
from astro_provider.triggers.watcher.shared_checks import MAX_SHARED_CHECKS_AT_ONCE
from astro_provider.waits.transient import MAX_REFUSED_AT_FIRST_SECONDS, MAX_REFUSED_SECONDS
from tests.unit.scripted_target import html_response, json_response
from tests.unit.task_runner import NOW
from tests.unit.triggers.watcher.watched_airflow import INTERVAL, LONG_AGO, READ_TIMEOUT, FakeCarrier, WatchedAirflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.scripted_target import Script
    from tests.unit.task_runner import FakeClock

LOG: ContextVar[str | None] = ContextVar("log", default=None)


@dataclass
class Checking:
    """A wait until the number at an endpoint is large enough."""

    task: asyncio.Task[int | None]
    seen: list[int] = field(default_factory=list)
    warnings: list[tuple[str | None, str]] = field(default_factory=list)
    answers: list[tuple[str | None, str]] = field(default_factory=list)


class Checks:
    """Begins waits, each in a context of its own, as a triggerer does."""

    def __init__(self) -> None:
        self.started: list[Checking] = []

    def __call__(
        self,
        at_least: int = 100,
        path: str = "number",
        *,
        poke_interval: float = INTERVAL,
        deadline: float | None = None,
        started_at: float | None = LONG_AGO,
        has_answered: bool = False,
    ) -> Checking:
        async def judge(result: Any) -> int | None:
            checking.seen.append(result["number"])
            return result["number"] if result["number"] >= at_least else None

        def warn(message: str) -> None:
            answers = message.startswith("Target answers again: ")
            (checking.answers if answers else checking.warnings).append((LOG.get(), message))

        async def wait() -> int | None:
            LOG.set(f"log {number}")
            async with shared_watcher("http_conn") as watcher:
                return await watcher.shared_checks.check_until(
                    ("GET", path),
                    lambda client: client.request("GET", path),
                    judge,
                    poke_interval=poke_interval,
                    deadline=deadline,
                    started_at=started_at,
                    has_answered=has_answered,
                    subject=path,
                    warn=warn,
                )

        number = len(self.started)
        checking = Checking(copy_context().run(asyncio.create_task, wait()))
        self.started.append(checking)
        return checking


@pytest.fixture
async def checks() -> Any:
    checks = Checks()
    yield checks
    for each in checks.started:
        each.task.cancel()
    await asyncio.gather(*(each.task for each in checks.started), return_exceptions=True)


@pytest.fixture
def counter(target: WatchedAirflow) -> Callable[..., None]:
    """A function that sets the number at an endpoint."""

    def set_number(number: int, path: str = "number") -> None:
        target.on("GET", path, json_response({"number": number}))

    set_number(0)
    return set_number


async def test_waits_with_equal_requests_share_one_request_per_interval(
    target: WatchedAirflow, clock: FakeClock, checks: Checks, counter: Callable[..., None]
) -> None:
    waiting = [checks(number % 7 + 1) for number in range(50)]
    await clock.sleep_async(2 * INTERVAL)
    target.reset_counts()
    await clock.sleep_async(20 * INTERVAL)
    assert len(target.received) == 20
    counter(3)
    await clock.sleep_async(INTERVAL)
    assert {each.task.done() for each in waiting[0::7] + waiting[1::7] + waiting[2::7]} == {True}
    assert {each.task.done() for each in waiting[3::7]} == {False}
    assert waiting[0].task.result() == 3
    assert {tuple(each.seen) for each in waiting[:3]} == {(*[0] * (len(waiting[0].seen) - 1), 3)}


async def test_different_requests_are_sent_for_each_wait(
    target: WatchedAirflow, clock: FakeClock, checks: Checks, counter: Callable[..., None]
) -> None:
    counter(5, "other")
    one, other = checks(5), checks(5, "other")
    await clock.sleep_async(1)
    assert (one.task.done(), other.task.result()) == (False, 5)


async def test_result_of_a_request_that_began_before_a_wait_does_not_end_it(
    target: WatchedAirflow, clock: FakeClock, checks: Checks, counter: Callable[..., None]
) -> None:
    counter(7)
    clock_moves = asyncio.Event()
    send = FakeCarrier.send

    async def delayed(self: FakeCarrier, request: Any) -> Any:
        response = await send(self, request)
        await clock_moves.wait()
        return response

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FakeCarrier, "send", delayed)
        early = checks(7)
        await clock.sleep_async(0.1)
        late = checks(7)
        await clock.sleep_async(0.1)
        counter(0)
        clock_moves.set()
        await clock.sleep_async(0.1)
    assert early.task.result() == 7
    await clock.sleep_async(INTERVAL)
    assert (late.task.done(), set(late.seen)) == (False, {0})


async def test_first_request_is_sent_at_once_and_the_interval_follows_the_age(
    target: WatchedAirflow, clock: FakeClock, checks: Checks, counter: Callable[..., None]
) -> None:
    checks(poke_interval=60, started_at=None)
    await clock.sleep_async(0.1)
    assert len(target.received) == 1
    await clock.sleep_async(10)
    assert len(target.received) == 11
    await clock.sleep_async(1000)
    target.reset_counts()
    await clock.sleep_async(600)
    assert len(target.received) == 10


async def test_wait_that_joins_is_checked_within_a_second(
    target: WatchedAirflow, clock: FakeClock, checks: Checks, counter: Callable[..., None]
) -> None:
    checks(poke_interval=600)
    await clock.sleep_async(100)
    late = checks(0, poke_interval=600)
    await clock.sleep_async(0.1)
    assert (late.task.done(), len(target.received)) == (True, 2)
    later = checks(0, poke_interval=600)
    await clock.sleep_async(0.5)
    assert not later.task.done()
    await clock.sleep_async(0.5)
    assert later.task.done()


async def test_deadline_ends_a_wait_with_a_last_request(
    target: WatchedAirflow, clock: FakeClock, checks: Checks, counter: Callable[..., None]
) -> None:
    one, two = checks(2, poke_interval=60, deadline=NOW.timestamp() + 30), checks(2, poke_interval=60)
    await clock.sleep_async(29)
    counter(1)
    await clock.sleep_async(2)
    assert (one.task.result(), one.seen) == (None, [0, 1])
    assert not two.task.done()
    assert len(target.received) == 2


async def test_deadline_is_kept_while_a_request_hangs(target: WatchedAirflow, clock: FakeClock, checks: Checks) -> None:
    target.hanging_paths.add("number")
    waiting = checks(deadline=NOW.timestamp() + 5)
    await clock.sleep_async(5 + MAX_SECONDS_PAST_DEADLINE + 1)
    assert waiting.task.result() is None


async def test_deadline_that_has_passed_leaves_one_request(
    target: WatchedAirflow, clock: FakeClock, checks: Checks, counter: Callable[..., None]
) -> None:
    waiting, over = checks(deadline=NOW.timestamp() - 5), checks(0, deadline=NOW.timestamp() - 5)
    await clock.sleep_async(1)
    assert (waiting.task.result(), over.task.result(), len(target.received)) == (None, 0, 1)


@pytest.mark.parametrize(
    "down", [json_response({"detail": "down"}, 503), TransportError("hung up"), html_response("Sign in")]
)
async def test_outage_is_tolerated_and_each_wait_warns_once_in_its_log(
    target: WatchedAirflow, clock: FakeClock, checks: Checks, counter: Callable[..., None], down: Script
) -> None:
    waiting = [checks(1) for _ in range(3)]
    await clock.sleep_async(INTERVAL)
    for outage in (1, 2):
        target.on("GET", "number", down)
        await clock.sleep_async(MAX_REFUSED_SECONDS / 2)
        assert [len(each.warnings) for each in waiting] == [outage] * 3
        counter(outage - 1)
        await clock.sleep_async(INTERVAL)
    assert [each.task.result() for each in waiting] == [1] * 3
    assert [log for each in waiting for log, _ in each.warnings] == [f"log {number // 2}" for number in range(6)]
    assert [log for each in waiting for log, _ in each.answers] == [f"log {number // 2}" for number in range(6)]
    assert waiting[0].warnings[0][1].startswith("Still waiting: number: ")
    assert waiting[0].answers[0][1].startswith("Target answers again: number in Deployment ")


async def test_refusal_fails_a_wait_after_a_time(
    target: WatchedAirflow, clock: FakeClock, checks: Checks, counter: Callable[..., None]
) -> None:
    target.tokens.clear()
    new, known = checks(), checks(has_answered=True)
    await clock.sleep_async(MAX_REFUSED_AT_FIRST_SECONDS + INTERVAL)
    with pytest.raises(AccessDeniedError):
        new.task.result()
    assert not known.task.done()
    await clock.sleep_async(MAX_REFUSED_SECONDS)
    with pytest.raises(AccessDeniedError):
        known.task.result()


async def test_endpoint_that_does_not_exist_fails_its_waits_only(
    target: WatchedAirflow, clock: FakeClock, checks: Checks, counter: Callable[..., None]
) -> None:
    waiting, other = [checks(path="nowhere"), checks(path="nowhere")], checks()
    await clock.sleep_async(INTERVAL)
    for each in waiting:
        with pytest.raises(NotFoundError):
            each.task.result()
    assert not other.task.done()


async def test_connection_is_read_again_after_its_token_was_replaced(
    target: WatchedAirflow,
    clock: FakeClock,
    checks: Checks,
    counter: Callable[..., None],
    connect: Callable[..., None],
) -> None:
    waiting = [checks(1), checks(1, "other")]
    counter(0, "other")
    for token in ("second", "third"):  # nothing is polled, but the connection is read again each time
        await clock.sleep_async(INTERVAL)
        target.tokens = {token}
        await clock.sleep_async(2 * INTERVAL)
        connect(target.url, password=token)
        await clock.sleep_async(2 * INTERVAL)
        target.reset_counts()
        await clock.sleep_async(2 * INTERVAL)
        assert (target.refused_count, len(target.received)) == (0, 4)
    counter(1)
    counter(1, "other")
    await clock.sleep_async(INTERVAL)
    assert [each.task.result() for each in waiting] == [1, 1]


async def test_number_of_requests_at_once_is_limited(target: WatchedAirflow, clock: FakeClock, checks: Checks) -> None:
    for number in range(20):
        target.hanging_paths.add(f"number/{number}")
        checks(path=f"number/{number}")
    await clock.sleep_async(READ_TIMEOUT / 2)
    assert len(target.unanswered_urls) == MAX_SHARED_CHECKS_AT_ONCE


async def test_requests_end_with_the_last_wait(
    target: WatchedAirflow, clock: FakeClock, checks: Checks, counter: Callable[..., None]
) -> None:
    stays, *leave = (checks(path="other"), checks(1), checks(1))
    counter(0, "other")
    await clock.sleep_async(1)
    for each in leave:
        each.task.cancel()
    await clock.sleep_async(INTERVAL)
    target.reset_counts()
    await clock.sleep_async(10 * INTERVAL)
    assert set(target.calls_received) == {"GET /api/v2/other"}
    again = checks(0)  # the key can be used again
    await clock.sleep_async(1)
    assert again.task.result() == 0
    stays.task.cancel()
    await clock.sleep_async(1)
    target.reset_counts()
    await clock.sleep_async(10 * INTERVAL)
    assert (target.received, target.open_sessions) == ([], 0)


async def test_error_of_a_judge_ends_its_wait_only(
    target: WatchedAirflow, clock: FakeClock, checks: Checks, counter: Callable[..., None]
) -> None:
    target.on("GET", "number", json_response({"number": 1}))
    other = checks(2)
    defective = checks("text")  # type: ignore[arg-type]  # cannot be compared with a number
    await clock.sleep_async(INTERVAL + 1)
    with pytest.raises(TypeError):
        defective.task.result()
    assert not other.task.done()


async def test_bug_in_a_flow_is_raised_by_each_wait(
    target: WatchedAirflow, clock: FakeClock, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    from astro_provider.api.client import Client

    monkeypatch.setattr(Client, "request", lambda *_: {}["defect"])
    waiting = [checks(), checks()]
    await clock.sleep_async(1)
    for each in waiting:
        with pytest.raises(KeyError, match="defect"):
            each.task.result()


async def test_requests_log_in_the_log_of_no_wait(
    target: WatchedAirflow,
    clock: FakeClock,
    checks: Checks,
    counter: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logs: list[str | None] = []
    send = FakeCarrier.send

    async def record(self: FakeCarrier, request: Any) -> Any:
        logs.append(LOG.get())
        return await send(self, request)

    monkeypatch.setattr(FakeCarrier, "send", record)
    checks()
    await clock.sleep_async(4 * INTERVAL)
    assert (len(logs) >= 4, set(logs)) == (True, {None})


async def test_clock_that_moves_back_delays_requests_by_an_interval_only(
    target: WatchedAirflow,
    clock: FakeClock,
    checks: Checks,
    counter: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved_back = 0.0
    watcher_class = partial(registry.Watcher, clock=lambda: time.time() - moved_back)
    monkeypatch.setattr(registry, "Watcher", watcher_class)
    waiting = checks(1)
    await clock.sleep_async(INTERVAL + 1)
    counter(1)
    moved_back = 3600.0
    for _ in range(3):
        await clock.sleep_async(INTERVAL)
    assert waiting.task.done()
