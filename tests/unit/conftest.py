# ruff: noqa: E402  the environment has to be set before Airflow is imported, which reads it then
"""No Airflow of this machine has a say in these tests, and no test has a say in another."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import shutil
import tempfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

HOME = tempfile.mkdtemp(prefix="airflow-home-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = HOME
os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{HOME}/airflow.db"
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

import hypothesis
import pytest

from astro_provider.api import memory
from tests.unit.server import Server
from tests.unit.target import TOKEN, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# How long an example takes says something of this machine only.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

_NETWORK_SETTINGS = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing learned by an earlier test, no proxy and no .netrc of whoever runs the tests."""
    monkeypatch.setattr(memory, "_memories", {})
    for setting in _NETWORK_SETTINGS:
        monkeypatch.delenv(setting, raising=False)
        monkeypatch.delenv(setting.lower(), raising=False)
    monkeypatch.setenv("NETRC", os.devnull)


@pytest.fixture
def target() -> Target:
    """An Airflow 3 in memory."""
    return Target("v2")


@pytest.fixture
def target_v1() -> Target:
    """An Airflow 2 in memory."""
    return Target("v1")


@pytest.fixture
def server(connect: Callable[..., None]) -> Iterator[Server]:
    """An Airflow 3 that the connection leads to."""
    with Server("v2") as running:
        connect(running.url, password=TOKEN)
        yield running


@pytest.fixture
def server_v1(connect: Callable[..., None]) -> Iterator[Server]:
    """An Airflow 2 that the connection leads to."""
    with Server("v1") as running:
        connect(running.url, password=TOKEN)
        yield running


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the connection, by its fields."""

    def set_connection(host: str, extra: Any = None, conn_id: str = "http_conn", **fields: Any) -> None:
        written = json.dumps({"conn_type": "astro", "host": host, "extra": extra or {}, **fields})
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", written)

    return set_connection


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the hooks made; they take no time."""
    from astro_provider.hooks import astro_async, base

    made: list[float] = []

    async def sleep(seconds: float) -> None:
        made.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(base, "time", SimpleNamespace(sleep=made.append))
    monkeypatch.setattr(astro_async, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
    return made
