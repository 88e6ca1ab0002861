"""The built distributions contain the right files, and Airflow finds the provider when only the wheel is installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
import zipfile
from email import message_from_bytes
from typing import TYPE_CHECKING

import pytest

from dev import environments
from dev.environments import ROOT, UV

if TYPE_CHECKING:
    from pathlib import Path

PUBLIC = {
    "astro_provider.hooks.astro": ["AstroHook"],
    "astro_provider.notifications.dag_run": ["AstroTriggerDagRunNotifier"],
    "astro_provider.operators.api": ["AstroApiOperator"],
    "astro_provider.operators.backfill": ["AstroBackfillOperator"],
    "astro_provider.operators.clear": ["AstroClearDagRunOperator"],
    "astro_provider.operators.dag": ["AstroPauseDagOperator", "AstroUnpauseDagOperator"],
    "astro_provider.operators.dag_run": ["AstroTriggerDagRunOperator"],
    "astro_provider.sensors.api": ["AstroApiSensor"],
    "astro_provider.sensors.dag_run": ["AstroDagRunSensor"],
    "astro_provider.sensors.task": ["AstroTaskSensor"],
}


def uv(*arguments: str | Path) -> None:
    answer = subprocess.run([UV, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel, which is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--out-dir", folder)
    return folder


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    [wheel] = distributions.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def fresh_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that contains only the wheel and its dependencies."""
    environment = tmp_path_factory.mktemp("fresh") / "environment"
    uv("venv", "--quiet", "--python", environments.python("triggering"), environment)
    pinned = environments.ENVIRONMENTS["triggering"].requirements
    uv("pip", "install", "--quiet", "--python", environment / "bin/python", "--constraints", pinned, wheel)
    return environment / "bin" / "python"


@pytest.fixture
def run(fresh_python: Path, tmp_path: Path):
    """Run the interpreter of the fresh environment outside this checkout, and return its output."""
    variables = {"AIRFLOW_HOME": str(tmp_path), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}

    def run_python(*arguments: str) -> str:
        command = [fresh_python, *arguments]
        answer = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    return run_python


def test_wheel_contains_only_the_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"astro_provider", wheel.name.rsplit("-", 3)[0] + ".dist-info"}
    assert "astro_provider/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_wheel_contains_every_module(wheel: Path) -> None:
    contained = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    assert contained == {str(path.relative_to(ROOT)) for path in (ROOT / "astro_provider").rglob("*.py")}


def test_metadata_links_to_the_interfaces_that_the_package_uses(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    [metadata] = [archive.read(name) for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    urls = dict(url.split(", ") for url in message_from_bytes(metadata).get_all("Project-URL", []))
    assert urls == {
        "Astro documentation": "https://www.astronomer.io/docs/astro/airflow-api",
        "Airflow REST API": "https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html",
    }


def test_source_distribution_contains_the_inputs_of_the_wheel(distributions: Path) -> None:
    [archive] = distributions.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "astro_provider/__init__.py"} <= names
    linked = set(re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text()))
    assert linked
    assert linked <= names
    assert not [name for name in names if ".build" in name or name.endswith(".pyc")]


def test_airflow_lists_the_provider(run) -> None:
    [provider] = json.loads(run("-m", "airflow", "providers", "get", "airflow-provider-astro", "--output", "json"))
    assert provider["Provider"] == "airflow-provider-astro"
    assert provider["Version"] == "0.1.0"


def test_airflow_lists_the_connection_type(run) -> None:
    hooks = json.loads(run("-m", "airflow", "providers", "hooks", "--output", "json"))
    [hook] = [hook for hook in hooks if hook["connection_type"] == "astro"]
    assert hook["class"] == "astro_provider.hooks.astro.AstroHook"
    assert hook["package_name"] == "airflow-provider-astro"


@pytest.mark.parametrize("module", PUBLIC)
def test_public_classes_can_be_imported(module: str, run) -> None:
    run("-W", "error::DeprecationWarning:astro_provider", "-c", f"from {module} import {', '.join(PUBLIC[module])}")


def test_type_checker_reads_the_types(fresh_python: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("from astro_provider.hooks.astro import AstroHook\nreveal_type(AstroHook().list_dags())\n")
    mypy = [environments.python("triggering"), "-m", "mypy", "--python-executable", fresh_python, program]
    answer = subprocess.run(mypy, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "import-untyped" not in answer.stdout
    assert 'Revealed type is "list[' in answer.stdout.replace("builtins.", ""), answer.stdout
