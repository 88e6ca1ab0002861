"""A fake target behind the connection ``http_conn``, and waits that tests begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.hooks import astro_async
from astro_provider.triggers.watcher import registry
from astro_provider.triggers.watcher.finished import FinishedRuns, FinishedTasks
from tests.unit.scripted_target import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.deployment import Deployment
    from tests.unit.task_runner import FakeClock


from tests.unit.triggers.watcher.polled_feed import PolledFeed
from tests.unit.triggers.watcher.watched_airflow import FakeCarrier, Waits, WatchedAirflow


@pytest.fixture(params=["v1", "v2"])
def api_version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make_target(
    api_version: str, clock: FakeClock, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> WatchedAirflow:
    target = WatchedAirflow(api_version)
    connect(target.url, password=TOKEN)

    def make_carrier(deployment: Deployment) -> FakeCarrier:
        return FakeCarrier(target, clock)

    monkeypatch.setattr(astro_async, "AsyncCarrier", make_carrier)
    monkeypatch.setattr(registry, "_watchers", {})
    return target


@pytest.fixture
def any_airflow(
    api_version: str, clock: FakeClock, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> WatchedAirflow:
    return make_target(api_version, clock, connect, monkeypatch)


@pytest.fixture
def target(clock: FakeClock, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> WatchedAirflow:  # type: ignore[misc]
    return make_target("v2", clock, connect, monkeypatch)


@pytest.fixture
async def waits() -> Any:
    waits = Waits()
    yield waits
    await waits.cancel()
    assert registry._watchers == {}


@pytest.fixture(params=["v1", "v2"])
def runs(request: pytest.FixtureRequest) -> PolledFeed:
    return PolledFeed(request.param, FinishedRuns)


@pytest.fixture(params=["v1", "v2"])
def tasks(request: pytest.FixtureRequest) -> PolledFeed:
    return PolledFeed(request.param, FinishedTasks)
