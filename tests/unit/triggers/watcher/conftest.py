"""A target that the connection leads to, and waits that a test begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.hooks import astro_async
from astro_provider.triggers.watcher import registry
from tests.unit.target import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.deployment import Deployment
    from tests.unit.task_runner import Clock


from tests.unit.task_runner import *  # noqa: F403  its fixtures
from tests.unit.triggers.watcher.played import Carrier, Target, Waits


@pytest.fixture(params=["v1", "v2"])
def generation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def played(generation: str, clock: Clock, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Target:
    target = Target(generation)
    connect(target.url, password=TOKEN)

    def carrier(deployment: Deployment) -> Carrier:
        return Carrier(target, clock)

    monkeypatch.setattr(astro_async, "AsyncCarrier", carrier)
    monkeypatch.setattr(registry, "_watchers", {})
    return target


@pytest.fixture
def either(generation: str, clock: Clock, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Target:
    return played(generation, clock, connect, monkeypatch)


@pytest.fixture
def target(clock: Clock, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Target:  # type: ignore[misc]
    return played("v2", clock, connect, monkeypatch)


@pytest.fixture
async def waits() -> Any:
    begun = Waits()
    yield begun
    await begun.end()
    assert registry._watchers == {}
