# ruff: noqa: E402  Airflow reads the environment when it is imported
"""Fixtures of the unit tests, which are independent of each other and of the Airflow settings of this machine."""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import time
from datetime import datetime
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

AIRFLOW_HOME = tempfile.mkdtemp(prefix="airflow-home-")
atexit.register(shutil.rmtree, AIRFLOW_HOME, ignore_errors=True)
for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = AIRFLOW_HOME
os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{AIRFLOW_HOME}/airflow.db"
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

import hypothesis
import pytest
import time_machine

from astro_provider.api import memory
from tests.unit.fake_airflow import FakeAirflowServer
from tests.unit.fake_backfills import FakeBackfillServer
from tests.unit.scripted_server import ScriptedServer
from tests.unit.scripted_target import TOKEN, ScriptedTarget
from tests.unit.task_runner import NOW, FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The duration of an example depends on the machine.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

_NETWORK_SETTINGS = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def _isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clear what earlier tests have cached, and hide proxies and .netrc of the user who runs the tests."""
    monkeypatch.setattr(memory, "_memories", {})
    for setting in _NETWORK_SETTINGS:
        monkeypatch.delenv(setting, raising=False)
        monkeypatch.delenv(setting.lower(), raising=False)
    monkeypatch.setenv("NETRC", os.devnull)


@pytest.fixture(autouse=True)
def _base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the URL of the triggering Deployment."""
    from astro_provider.airflow_versions import BASE_URL_SECTION

    monkeypatch.setenv(f"AIRFLOW__{BASE_URL_SECTION.upper()}__BASE_URL", "https://here.example.com")


@pytest.fixture
def target() -> ScriptedTarget:
    """A scripted Airflow 3 in memory."""
    return ScriptedTarget("v2")


@pytest.fixture
def target_v1() -> ScriptedTarget:
    """A scripted Airflow 2 in memory."""
    return ScriptedTarget("v1")


@pytest.fixture(params=["v1", "v2"])
def any_target(request: pytest.FixtureRequest) -> ScriptedTarget:
    """A scripted Airflow 2, then a scripted Airflow 3, in memory."""
    return ScriptedTarget(request.param)


@pytest.fixture
def server(connect: Callable[..., None]) -> Iterator[ScriptedServer]:
    """The target of the connection: a scripted Airflow 3."""
    with ScriptedServer("v2") as running:
        connect(running.url, password=TOKEN)
        yield running


@pytest.fixture
def server_v1(connect: Callable[..., None]) -> Iterator[ScriptedServer]:
    """The target of the connection: a scripted Airflow 2."""
    with ScriptedServer("v1") as running:
        connect(running.url, password=TOKEN)
        yield running


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that sets an Airflow connection by its fields."""

    def set_connection(host: str, extra: Any = None, conn_id: str = "http_conn", **fields: Any) -> None:
        written = json.dumps({"conn_type": "astro", "host": host, "extra": extra or {}, **fields})
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", written)

    return set_connection


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of the hooks in seconds; they take no time."""
    from astro_provider.hooks import astro_async, base

    made: list[float] = []

    async def sleep(seconds: float) -> None:
        made.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(base, "time", SimpleNamespace(sleep=made.append))
    monkeypatch.setattr(astro_async, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeClock]:
    """A clock that only sleeps of hooks, sensors and triggers advance; they take no time."""
    from astro_provider.airflow_versions import BaseSensorOperator
    from astro_provider.hooks import astro_async, base
    from astro_provider.sensors import waiting
    from astro_provider.triggers import api as api_trigger
    from astro_provider.triggers import backfill as backfill_trigger
    from astro_provider.triggers import dag_run as dag_run_trigger
    from astro_provider.triggers import shared_wait
    from astro_provider.triggers.watcher import registry

    with time_machine.travel(NOW, tick=False) as traveller:
        clock = FakeClock(traveller)
        monkeypatch.setattr(base, "time", SimpleNamespace(sleep=clock.sleep))
        monkeypatch.setattr(astro_async, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": clock.sleep_async}))
        monkeypatch.setattr(registry, "Watcher", partial(registry.Watcher, sleep=clock.sleep_async))
        monkeypatch.setattr(astro_async.AsyncCarrier, "send", clock.holding(astro_async.AsyncCarrier.send))
        for method in ("_open", "reload_connection"):
            held = clock.holding(getattr(astro_async.AsyncAstroHook, method))
            monkeypatch.setattr(astro_async.AsyncAstroHook, method, held)
        sensor_time = SimpleNamespace(sleep=clock.sleep, monotonic=lambda: datetime.now().timestamp())
        monkeypatch.setattr(sys.modules[BaseSensorOperator.__module__], "time", sensor_time)
        monkeypatch.setattr(waiting, "time", SimpleNamespace(sleep=clock.sleep, time=time.time))
        trigger_asyncio = SimpleNamespace(**{**vars(asyncio), "sleep": clock.sleep_async})
        monkeypatch.setattr(backfill_trigger, "asyncio", trigger_asyncio)
        monkeypatch.setattr(dag_run_trigger, "asyncio", trigger_asyncio)
        monkeypatch.setattr(shared_wait, "asyncio", trigger_asyncio)
        monkeypatch.setattr(api_trigger, "call_supervisor", clock.holding(api_trigger.call_supervisor))
        yield clock


def _remote(api_version: str, connect: Callable[..., None]) -> Iterator[FakeAirflowServer]:
    with FakeAirflowServer(api_version) as running:
        connect(running.url, password=TOKEN)
        yield running


@pytest.fixture
def fake_airflow(clock: FakeClock, connect: Callable[..., None]) -> Iterator[FakeAirflowServer]:
    """The target of the connection: a fake Airflow 3."""
    yield from _remote("v2", connect)


@pytest.fixture
def fake_backfills(clock: FakeClock, connect: Callable[..., None]) -> Iterator[FakeBackfillServer]:
    """The target of the connection: a fake Airflow 3 with backfills."""
    with FakeBackfillServer("v2") as running:
        connect(running.url, password=TOKEN)
        yield running


@pytest.fixture
def fake_airflow_v1(clock: FakeClock, connect: Callable[..., None]) -> Iterator[FakeAirflowServer]:
    """The target of the connection: a fake Airflow 2."""
    yield from _remote("v1", connect)


@pytest.fixture(params=["v1", "v2"])
def any_airflow(
    request: pytest.FixtureRequest, clock: FakeClock, connect: Callable[..., None]
) -> Iterator[FakeAirflowServer]:
    """The target of the connection: a fake Airflow 2, then a fake Airflow 3."""
    yield from _remote(request.param, connect)


OUTCOME_FIRST = re.compile(r"[A-Z][^:\n]{0,32}: dag '")
"""How each line begins that names a dag, see ``astro_provider.api.message``."""


@pytest.fixture
def active_openlineage(monkeypatch: pytest.MonkeyPatch) -> None:
    """The OpenLineage provider with a transport. In tests, that provider does not cache its settings."""
    pytest.importorskip("airflow.providers.openlineage")
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", '{"type": "console"}')


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """The messages that tasks, hooks and triggers log, with logging or structlog."""
    logged: list[str] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append(record.getMessage())

    handler = Collecting(logging.INFO)
    loggers = [logging.getLogger(name) for name in ("airflow.task", "astro_provider", "airflow.triggers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    with _structlog_into(logged):
        yield logged
    assert [line for line in logged if "dag '" in line and not OUTCOME_FIRST.match(line)] == []
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


class _structlog_into:  # noqa: N801  a context manager
    """Collect the messages of structlog, which only Airflow 3 uses."""

    def __init__(self, logged: list[str]) -> None:
        self._logged = logged

    def __enter__(self) -> None:
        try:
            import structlog
        except ImportError:
            return

        def collect(logger: Any, method: str, event: Any) -> Any:
            self._logged.append(event["event"])
            raise structlog.DropEvent

        self._before = structlog.get_config()
        structlog.configure(
            processors=[collect],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=lambda *arguments: None,
            cache_logger_on_first_use=False,
        )

    def __exit__(self, *_: object) -> None:
        if before := getattr(self, "_before", None):
            import structlog

            structlog.configure(**before)
