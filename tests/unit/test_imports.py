"""A DAG file pays for the classes that it names, not for what they do when a task runs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION

CLASSES = """
from astro_provider.operators.api import AstroApiOperator
from astro_provider.operators.dag import AstroPauseDagOperator, AstroUnpauseDagOperator
from astro_provider.operators.dag_run import AstroTriggerDagRunOperator
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor
"""
BEFORE = """
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator, BaseOperatorLink
try:
    from airflow.sdk import conf
except ImportError:  # before 3.2
    from airflow.configuration import conf
"""
BEFORE_2 = """
from airflow import DAG
from airflow.models import BaseOperator, BaseOperatorLink
from airflow.sensors.base import BaseSensorOperator
"""
HEAVY = ("requests", "aiohttp", "httpx", "airflow.providers.http", "airflow.triggers", "openapi_core")
OURS_WHEN_RUNNING = ("hooks", "triggers", "connection", "api.client", "api.exchange", "api.calls", "waits")


def loaded(code: str) -> set[str]:
    """Names of the modules that are loaded by this code in a process of its own."""
    ending = "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code + ending], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def added() -> set[str]:
    """What our classes load over what every DAG file has loaded anyway."""
    before = BEFORE if AIRFLOW_VERSION >= (3, 0) else BEFORE_2
    return loaded(before + CLASSES) - loaded(before)


def _within(names: set[str], *packages: str) -> list[str]:
    return sorted(
        name for name in names if name.startswith(tuple(f"{package}." for package in packages)) or name in packages
    )


def test_no_library_that_talks_http_is_loaded(added: set[str]) -> None:
    assert _within(added, *HEAVY) == []


def test_no_part_of_ours_that_a_running_task_needs_is_loaded(added: set[str]) -> None:
    assert _within(added, *(f"astro_provider.{part}" for part in OURS_WHEN_RUNNING)) == []


def test_little_is_loaded_besides_our_own(added: set[str]) -> None:
    others = {name.partition(".")[0] for name in added} - {"astro_provider", "airflow", "ast", "packaging"}
    foreign = sorted(name for name in others if name not in sys.stdlib_module_names)
    assert foreign == []


def test_the_package_itself_loads_nothing() -> None:
    added = loaded("import astro_provider") - loaded("")
    assert sorted(name for name in added if name.partition(".")[0] not in sys.stdlib_module_names) == ["astro_provider"]


def test_the_rest_api_as_data_needs_neither_airflow_nor_http() -> None:
    code = "import astro_provider.api.client, astro_provider.connection"
    assert _within(loaded(code), "airflow", "requests", "aiohttp") == []


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 0), reason="Airflow 2 has loaded them itself by then")
def test_a_task_on_a_worker_pays_for_one_library_that_talks_http() -> None:
    added = loaded("import astro_provider.hooks.astro") - loaded(BEFORE)
    assert _within(added, "requests") != []
    assert _within(added, "aiohttp", "httpx", "airflow.providers.http") == []
