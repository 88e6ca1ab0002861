"""A target that the connection leads to, and waits that a test begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.hooks import astro_async
from astro_provider.triggers.watcher import registry
from tests.unit.scripted_target import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.deployment import Deployment
    from tests.unit.task_runner import FakeClock


from tests.unit.triggers.watcher.watched_airflow import Carrier, Waits, WatchedAirflow


@pytest.fixture(params=["v1", "v2"])
def api_version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def played(
    api_version: str, clock: FakeClock, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> WatchedAirflow:
    target = WatchedAirflow(api_version)
    connect(target.url, password=TOKEN)

    def carrier(deployment: Deployment) -> Carrier:
        return Carrier(target, clock)

    monkeypatch.setattr(astro_async, "AsyncCarrier", carrier)
    monkeypatch.setattr(registry, "_watchers", {})
    return target


@pytest.fixture
def any_airflow(
    api_version: str, clock: FakeClock, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> WatchedAirflow:
    return played(api_version, clock, connect, monkeypatch)


@pytest.fixture
def target(clock: FakeClock, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> WatchedAirflow:  # type: ignore[misc]
    return played("v2", clock, connect, monkeypatch)


@pytest.fixture
async def waits() -> Any:
    begun = Waits()
    yield begun
    await begun.end()
    assert registry._watchers == {}
