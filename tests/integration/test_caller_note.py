"""The default note of a run leads back to the task that triggered it; checked in both deployments."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, quote, unquote, urlsplit
from uuid import uuid4

import pytest

from tests.integration.runs import Run, runs_of, trigger_run

HOMES = {"v2_conn": "triggering", "v1_conn": "triggering", "http_conn": "target_v1"}
"""The deployment that triggers with each connection: Airflow 3 both targets, Airflow 2 the target of Airflow 3."""

WITH_DEFAULT = ("on_worker", "in_triggerer", "waits", "odd__żółw__id", "mapped[0]", "mapped[1]")
WITHOUT = ("none", "none_in_triggerer", "rendered_to_none")
ON_EXISTING = ("attached", "attached_in_triggerer", "reset")


@pytest.fixture(scope="module")
def called(deployments):
    """For each connection, a run of the DAG, and the run that existed already in the target."""
    deployments.target_v1.add_connection("http_conn", deployments.target.connection("http"))
    started = {}
    for conn, home in HOMES.items():
        deployment = getattr(deployments, home)
        deployment.wait_for_dags("callers")
        name = uuid4().hex[:8]
        existing = trigger_run(target_of(deployments, conn), "quick", run_id=f"existing-{name}", note="their own note")
        conf = {"conn": conn, "existing": existing.run_id}
        # A run id with characters that Markdown could take for emphasis, and that URLs have to encode.
        run = trigger_run(deployment, "callers", run_id=f"manual__2026-06-01T00:00:00+00:00_{name}_~~", conf=conf)
        started[conn] = run, existing
    return {conn: (run.wait(240), existing) for conn, (run, existing) in started.items()}


def target_of(deployments, conn):
    return deployments.target if conn == "http_conn" else deployments.target_of(conn)


def note_of(deployments, run: Run, conn: str, task: str) -> str | None:
    """Return the note of the run that a task triggered, read from the target."""
    task_id, _, index = task.rstrip("]").partition("[")
    path = f"{run.path}/taskInstances/{quote(task_id)}/xcomEntries/trigger_run_id"
    params = {"stringify": "false", **({"map_index": index} if index else {})}
    run_id = run.deployment.request("GET", path, params=params)["value"]
    return Run(target_of(deployments, conn), "quick", run_id).get()["note"]


def task_at(url: str) -> tuple[str, str, str, int]:
    """Return the ids of dag, run and task, and the map index, in the URL of a task in Airflow's UI."""
    parts = urlsplit(url)
    path = [unquote(part) for part in parts.path.strip("/").split("/")]
    if path[-1] == "grid":  # Airflow 2
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert (path[0], query["tab"]) == ("dags", "logs")
        return path[1], query["dag_run_id"], query["task_id"], int(query.get("map_index", -1))
    index = int(path.pop()) if path[-2] == "mapped" else -1
    path = path[:-1] if index >= 0 else path
    assert path[::2] == ["dags", "runs", "tasks"]
    return path[1], path[3], path[5], index


each_home = pytest.mark.parametrize("conn", HOMES)


@each_home
@pytest.mark.parametrize("task", WITH_DEFAULT)
def test_default_note_leads_back_to_the_task(called, deployments, conn, task):
    run, _ = called[conn]
    note = note_of(deployments, run, conn, task)

    (url,) = re.findall(r"\]\((\S+)\)", note)
    assert url.startswith(f"{run.deployment.url}/dags/")
    dag_id, run_id, task_id, map_index = task_at(url)
    index = "" if map_index < 0 else f"[{map_index}]"
    assert (dag_id, run_id, f"{task_id}{index}") == ("callers", run.run_id, task)
    instance = Run(run.deployment, dag_id, run_id).tasks()[f"{task_id}{index}"]
    assert (instance["state"], instance["map_index"]) == ("success", map_index)
    mapped = f" (map index {map_index})" if index else ""
    assert note == f"Triggered by [task `{task_id}`{mapped} of dag `callers`]({url}), run `{run.run_id}`."


@each_home
def test_task_in_the_triggerer_has_no_worker(called, conn):
    run, _ = called[conn]

    on_worker = {name: bool(task["pid"]) for name, task in run.tasks().items()}
    assert on_worker["on_worker"]
    assert on_worker["in_triggerer"] is on_worker["none_in_triggerer"] is (conn == "http_conn")


@each_home
def test_given_note_and_no_note(called, deployments, conn):
    run, _ = called[conn]

    assert run.state == "success", run.states()
    assert note_of(deployments, run, conn, "given") == "by hand"
    assert {name: note_of(deployments, run, conn, name) for name in WITHOUT} == dict.fromkeys(WITHOUT)


@each_home
def test_existing_run_keeps_its_note(called, deployments, conn):
    run, existing = called[conn]

    assert {run.xcom(name, "trigger_run_id") for name in ON_EXISTING} == {existing.run_id}
    assert existing.get()["note"] == "their own note"


@each_home
def test_each_task_triggers_one_run(called, deployments, conn):
    run, _ = called[conn]

    created = [run_id for run_id in runs_of(target_of(deployments, conn), "quick") if f"~{run.run_id}" in run_id]
    assert len(created) == len(WITH_DEFAULT) + len(WITHOUT) + len(["given"])
