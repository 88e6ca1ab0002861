from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import requests

from dev.deployments import TARGET_V1, Deployment, DeploymentError, running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration


def test_a_failed_start_says_why() -> None:
    nowhere = "postgresql+psycopg2://nobody@localhost:1/nothing"
    broken = Deployment("broken", "triggering", 8090, env={"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": nowhere})
    with pytest.raises(DeploymentError) as error, running(broken):
        pass
    text = str(error.value)
    assert text.startswith("broken (Airflow 3.3.2) does not run: its migration ended with exit code 1.")
    assert str(broken.log("migration")) in text
    assert "Connection refused" in text


def test_a_start_that_takes_too_long_says_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dev.deployments.START_TIMEOUT", 1)
    with (
        pytest.raises(DeploymentError, match="is not ready after 1 s"),
        running(Deployment("slow", "triggering", 8090)),
    ):
        pass


# What demo, tests and benchmarks rely on, tried in the Airflow that starts fastest.

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
    (dags / "below" / "elsewhere.py").write_text("raise RuntimeError('not asked for')")
    with running(replace(TARGET_V1, name="used", port=8090, dags=[dags])) as (deployment,):
        yield deployment


def test_the_version_is_the_one_promised(deployment: Deployment) -> None:
    assert deployment.request("GET", "version")["version"] == deployment.airflow_version


def test_the_dags_are_there(deployment: Deployment) -> None:
    deployment.wait_for_dags("here")


def test_a_dag_that_is_not_there(deployment: Deployment) -> None:
    with pytest.raises(DeploymentError, match="used has no dag nowhere after 0 s"):
        deployment.wait_for_dags("nowhere", timeout=0)


def test_an_error_holds_the_answer(deployment: Deployment) -> None:
    with pytest.raises(requests.HTTPError, match=r"(?s)used: GET .*/api/v1/dags/nowhere answered 404: .*not found"):
        deployment.request("GET", "dags/nowhere")


def test_a_viewer_may_look_but_not_touch(deployment: Deployment) -> None:
    deployment.wait_for_dags("here")
    assert deployment.request("GET", "dags/here", user="viewer")["dag_id"] == "here"
    with pytest.raises(requests.HTTPError, match="403"):
        deployment.request("PATCH", "dags/here", json={"is_paused": True}, user="viewer")


def test_a_connection_is_kept_over_a_restart(deployment: Deployment) -> None:
    for form in ("http", "login"):
        deployment.add_connection("there", deployment.connection(form))
    address = deployment.url
    deployment.stop()
    with pytest.raises(requests.ConnectionError):
        deployment.request("GET", "version")
    deployment.start()
    assert deployment.url == address
    assert deployment.request("GET", "connections/there")["login"] == "admin"


def test_one_component_is_restarted(deployment: Deployment) -> None:
    before = deployment.pids("triggerer")
    deployment.restart("triggerer")
    assert not set(before) & set(deployment.pids("triggerer"))
    assert deployment.cpu_seconds("triggerer") > 0


def test_a_file_that_cannot_be_imported(deployment: Deployment) -> None:
    (deployment.dags_folder / "broken.py").write_text("from airflow.decorators import dag\nimport no_such_module")
    with pytest.raises(DeploymentError, match=r"(?s)used cannot import .*broken.py.*No module named"):
        deployment.wait_for_dags("broken", timeout=60)


def test_starting_what_runs_changes_nothing(deployment: Deployment) -> None:
    before = deployment.pids("triggerer")
    deployment.start()
    assert deployment.pids("triggerer") == before


def test_a_component_that_was_killed_is_started_again(deployment: Deployment) -> None:
    os.kill(deployment.pids("triggerer")[0], signal.SIGKILL)
    deployment.restart("triggerer")
    assert deployment.pids("triggerer")
