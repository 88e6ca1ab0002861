"""
The events of tasks of this package, sent by the OpenLineage provider of real deployments.

Both targets have the OpenLineage provider, too, so that the events of both sides can be compared.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dev.deployments import TARGET, TARGET_V1, TRIGGERING, Deployment, running
from tests.integration.runs import Run, trigger_run

DAGS = Path(__file__).parent / "dags"
pytestmark = pytest.mark.timeout(1500)
WORKER_TASKS = ["worker", "deferred", "failed", "no_wait", "clear"]

both_targets = pytest.mark.parametrize("version", ["v2", "v1"])


@dataclass(frozen=True)
class Lineage:
    """The run of the test's DAG, and the events of all three deployments."""

    run: Run
    targets: dict[str, Deployment]
    events_folder: Path

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of a deployment in their order."""
        return [json.loads(line) for line in (self.events_folder / name).read_text().splitlines()]

    def of_task(self, task_id: str) -> list[dict[str, Any]]:
        return [event for event in self.events("triggering") if event["job"]["name"] == f"lineage.{task_id}"]

    def of_remote_run(self, version: str, run_id: str) -> list[dict[str, Any]]:
        """Return the events of a dag run of a target."""
        of_runs = [event for event in self.events(version) if "airflowDagRun" in event["run"]["facets"]]
        return [event for event in of_runs if event["run"]["facets"]["airflowDagRun"]["dagRun"]["run_id"] == run_id]

    def remote(self, task_id: str) -> dict[str, Any]:
        """Return the dag run in the target that a task has triggered."""
        version = task_id.rpartition("_")[2]
        dag_id = "broken" if task_id.startswith("failed") else "downstream"
        return Run(self.targets[version], dag_id, self.run.xcom(task_id, "trigger_run_id")).get()


def names(facet: dict[str, Any]) -> tuple[str, str, str]:
    """Return the namespace, the name and the run id of a parent."""
    return facet["job"]["namespace"], facet["job"]["name"], facet["run"]["runId"]


def settings(folder: Path, name: str) -> dict[str, str]:
    transport = {"type": "file", "log_file_path": str(folder / name), "append": True}
    return {
        # OpenLineage makes the start of a task so expensive that a busy machine needs longer than Airflow's 5 seconds.
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "100",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
        "AIRFLOW__OPENLINEAGE__NAMESPACE": f"namespace of {name}",
        # A task ends its event after this time; the default is 10 seconds.
        "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "120",
    }


@pytest.fixture(scope="session")
def lineage(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("events")
    with running(
        replace(TRIGGERING, dags=[DAGS / "triggering.py"], env=settings(folder, "triggering")),
        replace(TARGET, dags=[DAGS / "target.py"], env=settings(folder, "v2")),
        replace(TARGET_V1, dags=[DAGS / "target.py"], env=settings(folder, "v1")),
    ) as (triggering, target, target_v1):
        target.wait_for_dags("downstream", "broken", "scheduled")
        target_v1.wait_for_dags("downstream", "broken")
        triggering.wait_for_dags("lineage")
        triggering.add_connection("v2_conn", target.connection("astro"))
        triggering.add_connection("v1_conn", target_v1.connection("login"))
        run = trigger_run(triggering, "lineage").wait(timeout=900)
        yield Lineage(run, {"v2": target, "v1": target_v1}, folder)


@both_targets
@pytest.mark.parametrize("task", WORKER_TASKS)
def test_events_name_the_run_in_the_target(lineage, version, task):
    events = lineage.of_task(f"{task}_{version}")
    run = lineage.remote(f"{task}_{version}")

    assert events[0]["eventType"] == "START"
    assert events[-1]["eventType"] == ("FAIL" if task == "failed" else "COMPLETE")
    started, ended = (event["run"]["facets"]["astro_remoteDagRun"] for event in (events[0], events[-1]))
    assert (started["dagId"], started["connectionId"]) == (run["dag_id"], f"{version}_conn")
    assert "dagRunId" not in started
    assert (ended["dagId"], ended["dagRunId"]) == (run["dag_id"], run["dag_run_id"])
    assert ended["state"] == ("queued" if task == "no_wait" else run["state"])
    assert ended["logicalDate"] == run["logical_date"]
    target = lineage.targets[version]
    assert ended["deployment"] == target.url
    assert ended["url"].startswith(f"{target.url}/dags/{run['dag_id']}/")


@both_targets
@pytest.mark.parametrize("task", ["worker", "deferred", "triggerer", "failed", "no_wait"])
def test_run_in_the_target_has_the_task_as_its_parent(lineage, version, task):
    task_id = f"{task}_{version}"
    conf = lineage.remote(task_id)["conf"]["openlineage"]

    assert (conf["parentJobName"], conf["parentJobNamespace"]) == (f"lineage.{task_id}", "namespace of triggering")
    run_ids = {event["run"]["runId"] for event in lineage.of_task(task_id)}
    if task != "triggerer":
        assert run_ids == {conf["parentRunId"]}
    remote = lineage.of_remote_run(version, lineage.run.xcom(task_id, "trigger_run_id"))
    assert remote[0]["eventType"] == "START"
    for event in remote:
        assert event["job"]["namespace"] == f"namespace of {version}"
        parent = event["run"]["facets"]["parent"]
        assert names(parent) == ("namespace of triggering", f"lineage.{task_id}", conf["parentRunId"])
        assert names(parent["root"]) == ("namespace of triggering", "lineage", conf["rootParentRunId"])
    roots = {event["run"]["runId"] for event in lineage.events("triggering") if event["job"]["name"] == "lineage"}
    assert roots == {conf["rootParentRunId"]}


def test_events_name_the_backfill_in_the_target(lineage):
    events = lineage.of_task("backfill")

    assert [event["eventType"] for event in events] == ["START", "COMPLETE"]
    ended = events[-1]["run"]["facets"]["astro_remoteBackfill"]
    backfill_id = lineage.run.xcom("backfill", "backfill_id")
    target = lineage.targets["v2"]
    assert (ended["dagId"], ended["backfillId"], ended["deployment"]) == ("scheduled", backfill_id, target.url)
    assert target.request("GET", f"backfills/{backfill_id}")["dag_id"] == "scheduled"
    remote = [event for event in lineage.events("v2") if event["job"]["name"] == "scheduled"]
    assert remote
    assert not any("parent" in event["run"]["facets"] for event in remote)


def test_events_of_a_sensor_do_not_name_the_target(lineage):
    events = lineage.of_task("sensor")

    assert [event["eventType"] for event in events] == ["START", "COMPLETE"]
    assert not any(name.startswith("astro_") for event in events for name in event["run"]["facets"])


@both_targets
def test_task_that_stays_in_the_triggerer_sends_no_events(lineage, version):
    """Its dag run does: the last event has the states of all tasks."""
    task_id = f"triggerer_{version}"
    assert lineage.run.states()[task_id] == "success"
    assert lineage.of_task(task_id) == []
    of_run = [event for event in lineage.events("triggering") if event["job"]["name"] == "lineage"]
    assert of_run[-1]["run"]["facets"]["airflowState"]["tasksState"][task_id] == "success"
