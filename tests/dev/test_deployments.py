"""Real deployments start, stop and report errors as demo, tests and benchmarks expect."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import requests

from dev.deployments import TARGET_V1, Deployment, DeploymentError, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


def test_failed_start_reports_the_reason() -> None:
    nowhere = "postgresql+psycopg2://nobody@localhost:1/nothing"
    broken = Deployment("broken", "triggering", 8090, env={"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": nowhere})
    with pytest.raises(DeploymentError) as error, running(broken):
        pass
    text = str(error.value)
    assert text.startswith("broken (Airflow 3.3.2) does not run: its migration ended with exit code 1.")
    assert str(broken.log("migration")) in text
    assert "Connection refused" in text


def test_start_that_takes_too_long_names_the_component(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dev.deployments.START_TIMEOUT_SECONDS", 1)
    with (
        pytest.raises(DeploymentError, match="is not ready after 1 s"),
        running(Deployment("slow", "triggering", 8090)),
    ):
        pass


# The tests below use Airflow 2, which starts fastest.

DAG = """
import pendulum
from airflow.decorators import dag

@dag(schedule=None, start_date=pendulum.datetime(2025, 1, 1))
def here():
    ...

here()
"""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    dags = tmp_path_factory.mktemp("dags")
    (dags / "here.py").write_text(DAG)
    (dags / "below").mkdir()
    (dags / "below" / "elsewhere.py").write_text("raise RuntimeError('files in subfolders are not copied')")
    with running(replace(TARGET_V1, name="used", port=8090, dags=[dags])) as (deployment,):
        yield deployment


def test_airflow_version_is_the_pinned_one(deployment: Deployment) -> None:
    assert deployment.request("GET", "version")["version"] == deployment.airflow_version


def test_dags_are_loaded(deployment: Deployment) -> None:
    deployment.wait_for_dags("here")


def test_dag_that_airflow_2_has_stored_only_in_part_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = [404, 500, 200]

    def request(self: Deployment, method: str, path: str) -> Any:
        if path == "importErrors":
            return {"import_errors": []}
        response = requests.Response()
        response.status_code = statuses.pop(0)
        response.raise_for_status()
        return {}

    monkeypatch.setattr(type(TARGET_V1), "request", request)
    TARGET_V1.wait_for_dags("here")
    assert statuses == []


def test_command_line_has_the_settings_of_the_deployment(deployment: Deployment, tmp_path: Path) -> None:
    command = [deployment.write_command(), "config", "get-value", "core", "dags_folder"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == str(deployment.dags_folder)


def test_waiting_for_a_missing_dag_fails(deployment: Deployment) -> None:
    with pytest.raises(DeploymentError, match="used has no dag nowhere after 0 s"):
        deployment.wait_for_dags("nowhere", timeout=0)


def test_error_contains_the_response(deployment: Deployment) -> None:
    with pytest.raises(requests.HTTPError, match=r"(?s)used: GET .*/api/v1/dags/nowhere answered 404: .*not found"):
        deployment.request("GET", "dags/nowhere")


def test_viewer_can_read_but_not_write(deployment: Deployment) -> None:
    deployment.wait_for_dags("here")
    assert deployment.request("GET", "dags/here", user="viewer")["dag_id"] == "here"
    with pytest.raises(requests.HTTPError, match="403"):
        deployment.request("PATCH", "dags/here", json={"is_paused": True}, user="viewer")


def test_connection_is_kept_after_a_restart(deployment: Deployment) -> None:
    for form in ("http", "login"):
        deployment.add_connection("there", deployment.connection(form))
    address = deployment.url
    deployment.stop()
    with pytest.raises(requests.ConnectionError):
        deployment.request("GET", "version")
    deployment.start()
    assert deployment.url == address
    assert deployment.request("GET", "connections/there")["login"] == "admin"


def test_single_component_is_restarted(deployment: Deployment) -> None:
    before = deployment.pids("triggerer")
    deployment.restart("triggerer")
    assert not set(before) & set(deployment.pids("triggerer"))
    assert deployment.cpu_seconds("triggerer") > 0


def test_import_error_of_a_dag_file_is_reported(deployment: Deployment) -> None:
    (deployment.dags_folder / "broken.py").write_text("from airflow.decorators import dag\nimport no_such_module")
    with pytest.raises(DeploymentError, match=r"(?s)used cannot import .*broken.py.*No module named"):
        deployment.wait_for_dags("broken", timeout=60)


def test_start_does_nothing_when_all_components_run(deployment: Deployment) -> None:
    before = deployment.pids("triggerer")
    deployment.start()
    assert deployment.pids("triggerer") == before


def test_killed_component_is_started_again(deployment: Deployment) -> None:
    os.kill(deployment.pids("triggerer")[0], signal.SIGKILL)
    deployment.restart("triggerer")
    assert deployment.pids("triggerer")
