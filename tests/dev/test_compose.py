"""docker-compose.yaml is valid, and describes the same two deployments as dev/deployments.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev import environments, settings
from dev.deployments import TARGET, TRIGGERING, Deployment

FILE = environments.ROOT / "docker-compose.yaml"

DEPLOYMENTS = pytest.mark.parametrize("deployment", [TRIGGERING, TARGET], ids=lambda deployment: deployment.name)

# Settings that differ in a container: paths, and the address of the database.
CONTAINER_SETTINGS = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"}


@pytest.fixture(scope="module")
def resolved() -> dict[str, Any]:
    """The file as docker-compose resolves it, with aliases and defaults."""
    docker_compose = environments.python("compose").with_name("docker-compose")
    command = [docker_compose, "--file", FILE, "config"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return yaml.safe_load(answer.stdout)


@pytest.fixture(scope="module")
def services(resolved: dict[str, Any]) -> dict[str, Any]:
    return resolved["services"]


def expected_environ(deployment: Deployment, airflow_home: Path) -> dict[str, str]:
    """Return the environment variables of the same deployment in dev/deployments.py."""
    ports = settings.Ports(deployment.port, 10_000 + deployment.port, 20_000 + deployment.port)
    return settings.environ(
        deployment.airflow_version, airflow_home, airflow_home, "", ports, settings.Keys(), deployment.env
    )


def test_docker_compose_accepts_the_file(resolved: dict[str, Any]) -> None:
    assert set(resolved["services"]) == {"triggering", "target", "postgres"}


def test_file_is_valid_by_the_current_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


@DEPLOYMENTS
def test_image_has_the_same_airflow_version(deployment: Deployment, services: dict[str, Any]) -> None:
    assert services[deployment.name]["image"] == f"apache/airflow:{deployment.airflow_version}"


@DEPLOYMENTS
def test_settings_are_the_same(deployment: Deployment, services: dict[str, Any], tmp_path: Path) -> None:
    environ = services[deployment.name]["environment"]
    theirs = {
        name: value
        for name, value in environ.items()
        if name.startswith("AIRFLOW__") and name not in CONTAINER_SETTINGS
    }
    assert theirs.items() <= expected_environ(deployment, tmp_path).items()
    assert {"AIRFLOW__CORE__AUTH_MANAGER", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"} <= set(theirs)


@DEPLOYMENTS
def test_passwords_are_the_same(deployment: Deployment, services: dict[str, Any], tmp_path: Path) -> None:
    environ = {**services[deployment.name]["environment"], "HOME": str(tmp_path)}
    name = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"
    [shell, option, script] = services[deployment.name]["command"]
    [writes] = [line for line in script.splitlines() if name in line]
    theirs = tmp_path / "theirs.json"
    line = writes.replace("$$", "$").removesuffix("&&")
    subprocess.run([shell, option, line], env={**environ, name: str(theirs)}, check=True)
    assert json.loads(theirs.read_text()) == json.loads(settings.PASSWORDS)


@DEPLOYMENTS
def test_port_is_published_on_localhost_only(deployment: Deployment, services: dict[str, Any]) -> None:
    assert services[deployment.name]["network_mode"] == "service:postgres"
    port = deployment.port
    assert services["postgres"]["ports"].count(f"127.0.0.1:{port}:{port}/tcp") == 1
    assert len(services["postgres"]["ports"]) == 2


@DEPLOYMENTS
def test_each_deployment_has_its_database_and_dags(deployment: Deployment, services: dict[str, Any]) -> None:
    address = services[deployment.name]["environment"]["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    database = address.rpartition("/")[2]
    assert f"CREATE DATABASE {database};" in (environments.ROOT / "dev" / "databases.sql").read_text()
    folders = {"triggering": "example_dags", "target": "example_dags/target"}
    mounted = f"{environments.ROOT / folders[deployment.name]}:/opt/airflow/dags:ro"
    assert mounted in services[deployment.name]["volumes"]


def test_connection_is_the_same(services: dict[str, Any]) -> None:
    connection = json.loads(services["triggering"]["environment"]["AIRFLOW_CONN_HTTP_CONN"])
    assert connection == TARGET.connection("login")


def test_only_the_triggering_deployment_installs_this_package(services: dict[str, Any]) -> None:
    assert f"{environments.ROOT}:/opt/airflow-provider-astro:ro" in services["triggering"]["volumes"]
    assert "pip install --no-deps /opt/airflow-provider-astro" in services["triggering"]["command"][-1]
    assert "pip" not in services["target"]["command"][-1]


def test_every_service_has_a_health_check_and_airflow_waits_for_the_database(services: dict[str, Any]) -> None:
    assert all("test" in service["healthcheck"] for service in services.values())
    for name in ("triggering", "target"):
        assert services[name]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
