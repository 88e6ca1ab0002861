"""Importing operators and sensors in a DAG file loads only what creating them needs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION

CLASSES = """
from astro_provider.operators.api import AstroApiOperator
from astro_provider.operators.backfill import AstroBackfillOperator
from astro_provider.operators.clear import AstroClearDagRunOperator
from astro_provider.operators.dag import AstroPauseDagOperator, AstroUnpauseDagOperator
from astro_provider.operators.dag_run import AstroTriggerDagRunOperator
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor
"""
BASE_OF_AIRFLOW_3 = """
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator, BaseOperatorLink
try:
    from airflow.sdk import conf
except ImportError:  # before 3.2
    from airflow.configuration import conf
"""
BASE_OF_AIRFLOW_2 = """
from airflow import DAG
from airflow.models import BaseOperator, BaseOperatorLink
from airflow.sensors.base import BaseSensorOperator
"""
HTTP_LIBRARIES_AND_TRIGGERS = (
    "requests",
    "aiohttp",
    "httpx",
    "airflow.providers.http",
    "airflow.triggers",
    "openapi_core",
)
NEEDED_BY_RUNNING_TASKS = ("hooks", "triggers", "connection", "api.client", "api.exchange", "api.calls", "waits")


def loaded_modules(code: str) -> set[str]:
    """Return the names of the modules that this code loads in a new process."""
    ending = "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code + ending], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def added_modules() -> set[str]:
    """Return the modules that the classes of this package load in addition to what every DAG file loads."""
    before = BASE_OF_AIRFLOW_3 if AIRFLOW_VERSION >= (3, 0) else BASE_OF_AIRFLOW_2
    return loaded_modules(before + CLASSES) - loaded_modules(before)


def _within(names: set[str], *packages: str) -> list[str]:
    return sorted(
        name for name in names if name.startswith(tuple(f"{package}." for package in packages)) or name in packages
    )


def test_no_http_library_is_loaded(added_modules: set[str]) -> None:
    assert _within(added_modules, *HTTP_LIBRARIES_AND_TRIGGERS) == []


def test_no_module_of_the_package_that_only_a_running_task_needs_is_loaded(added_modules: set[str]) -> None:
    assert _within(added_modules, *(f"astro_provider.{part}" for part in NEEDED_BY_RUNNING_TASKS)) == []


def test_no_other_third_party_module_is_loaded(added_modules: set[str]) -> None:
    others = {name.partition(".")[0] for name in added_modules} - {"astro_provider", "airflow", "ast", "packaging"}
    foreign = sorted(name for name in others if name not in sys.stdlib_module_names)
    assert foreign == []


def test_importing_the_package_loads_nothing_else() -> None:
    added_modules = loaded_modules("import astro_provider") - loaded_modules("")
    assert sorted(name for name in added_modules if name.partition(".")[0] not in sys.stdlib_module_names) == [
        "astro_provider"
    ]


def test_api_loads_neither_airflow_nor_an_http_library() -> None:
    code = "import astro_provider.api.client, astro_provider.connection"
    assert _within(loaded_modules(code), "airflow", "requests", "aiohttp") == []


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 0), reason="Airflow 2 loads these libraries itself")
def test_hook_on_a_worker_loads_one_http_library() -> None:
    added_modules = loaded_modules("import astro_provider.hooks.astro") - loaded_modules(BASE_OF_AIRFLOW_3)
    assert _within(added_modules, "requests") != []
    assert _within(added_modules, "aiohttp", "httpx", "airflow.providers.http") == []
