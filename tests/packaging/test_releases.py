"""
The package installs with each supported Airflow release and does not change any of its versions.

Airflow recommends to install providers with its constraints. Each environment contains an Airflow release with packages
published by then; its lock file is resolved without the dependencies of this package.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from dev import environments
from dev.environments import ENVIRONMENTS, RELEASES, Environment
from tests.packaging.test_wheel import PUBLIC, uv

if TYPE_CHECKING:
    from pathlib import Path

NAMES = """
import warnings
warnings.filterwarnings("error", category=DeprecationWarning, message=".*airflow")
from astro_provider import airflow_versions
for name in airflow_versions.__all__:
    getattr(airflow_versions, name)
"""


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> Environment:
    environment = ENVIRONMENTS[f"triggering-{request.param}"]
    environments.make(environment)
    return environment


@pytest.fixture
def run(release: Environment, tmp_path: Path):
    """Run the interpreter of the environment outside this checkout, and return its output."""
    variables = {"AIRFLOW_HOME": str(tmp_path), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}

    def run_python(*arguments: str) -> str:
        command = [release.python, *arguments]
        answer = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    return run_python


def test_package_works_with_the_versions_of_a_release(release: Environment, run) -> None:
    uv("pip", "check", "--python", release.python)
    run("-c", NAMES)
    run("-c", "\n".join(f"from {module} import {', '.join(names)}" for module, names in PUBLIC.items()))
    providers = json.loads(run("-m", "airflow", "providers", "list", "--output", "json"))
    assert "airflow-provider-astro" in {provider["package_name"] for provider in providers}
