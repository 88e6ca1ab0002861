"""Environments are created with a suitable Python, when they are missing or out of date, from pinned requirements."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dev import environments
from dev.environments import ENVIRONMENTS, Environment, SetupError, find_python

if TYPE_CHECKING:
    from pathlib import Path

TARGET_V1 = ENVIRONMENTS["target-v1"]


@pytest.fixture
def interpreter(tmp_path: Path):
    """Create a program that prints this version as an interpreter does, or fails to run, as commands of pyenv can."""

    def make(version: str | None) -> str:
        path = tmp_path / f"python{version}"
        path.write_text(f"#!/bin/sh\necho {version}\n" if version else "#!/bin/sh\nexit 127\n")
        path.chmod(0o755)
        return str(path)

    return make


def test_first_suitable_python_is_chosen(interpreter) -> None:
    candidates = [interpreter(None), interpreter("3.14"), interpreter("3.11"), interpreter("3.12")]
    assert find_python(TARGET_V1, candidates) == candidates[2]


def test_missing_python_is_skipped(interpreter) -> None:
    assert find_python(TARGET_V1, ["/no/such/python", interpreter("3.10")]).endswith("python3.10")


def test_error_lists_the_pythons_found_when_none_is_suitable(interpreter) -> None:
    with pytest.raises(SetupError) as error:
        find_python(TARGET_V1, [interpreter(None), interpreter("3.13")])
    text = str(error.value)
    assert "Airflow 2.11.2 runs on Python 3.10, 3.11, 3.12, and none of them was found" in text
    assert re.search("python3.13: 3.13$", text, re.MULTILINE)
    assert "pythonNone: does not run" in text


def test_python_of_pyenv_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tmp_path / "versions" / "3.10.99" / "bin" / "python"
    found.parent.mkdir(parents=True)
    found.write_text("#!/bin/sh\necho 3.10\n")
    found.chmod(0o755)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert find_python(TARGET_V1) == str(found)


def test_missing_python_is_reported_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path
) -> None:
    monkeypatch.setattr(environments, "BUILD", tmp_path)
    monkeypatch.setattr(environments, "_version", lambda interpreter: "3.9")
    monkeypatch.setattr(sys, "argv", ["environments.py", "target"])
    assert environments.main() == 1
    assert "Airflow 3.3.2 runs on Python 3.10" in capsys.readouterr().err


class TestFreshness:
    @pytest.fixture
    def environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
        monkeypatch.setattr(environments, "BUILD", tmp_path)
        monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
        monkeypatch.setattr(environments, "PYPROJECT", tmp_path / "pyproject.toml")
        environment = replace(TARGET_V1, name="some")
        environment.requirements.write_text("requests==2.32.0\n")
        environments.PYPROJECT.write_text("[project]\nname = 'x'\n\n[tool.ruff]\nline-length = 100\n")
        environment.python.parent.mkdir(parents=True)
        environment.python.touch()
        environment.stamp.write_text(environment.fingerprint())
        return environment

    def test_unchanged_environment_is_fresh(self, environment: Environment) -> None:
        assert environment.is_fresh()

    def test_environment_is_stale_when_a_requirement_changed(self, environment: Environment) -> None:
        environment.requirements.write_text("requests==2.32.1\n")
        assert not environment.is_fresh()

    def test_environment_is_stale_when_the_package_metadata_changed(self, environment: Environment) -> None:
        environments.PYPROJECT.write_text("[project]\nname = 'y'\n\n[tool.ruff]\nline-length = 100\n")
        assert not environment.is_fresh()

    def test_environment_is_fresh_when_only_tool_settings_changed(self, environment: Environment) -> None:
        environments.PYPROJECT.write_text("[project]\nname = 'x'\n\n[tool.ruff]\nline-length = 120\n")
        assert environment.is_fresh()

    def test_incomplete_environment_is_stale(self, environment: Environment) -> None:
        environment.stamp.unlink()
        assert not environment.is_fresh()


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_requirements_are_pinned_and_contain_no_address(environment: Environment) -> None:
    lines = environment.requirements.read_text().splitlines()
    assert all(re.match(r"[a-z0-9.-]+(\[[a-z0-9,-]+\])?==\S+( ; .+)?$", line) for line in lines), lines
    assert environment.contents.replace("Airflow", "apache-airflow").replace(" ", "==") in lines


def test_api_descriptions_of_both_versions_exist() -> None:
    v1 = environments.site_packages("target-v1") / "airflow/api_connexion/openapi/v1.yaml"
    v2 = environments.site_packages("target") / "airflow/api_fastapi/core_api/openapi/v2-rest-api-generated.yaml"
    assert v1.exists()
    assert v2.exists()
