"""Callbacks of tasks and DAGs trigger a dag of the target, on workers and in the DAG processor."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from urllib.parse import unquote

import pytest

from tests.integration.runs import trigger_run

HOMES = {"v2_conn": "triggering", "v1_conn": "triggering", "http_conn": "target_v1"}
"""The deployment that triggers with each connection: Airflow 3 both targets, Airflow 2 the target of Airflow 3."""

EXPECTED = {
    "retry": [("fails", None, 1)],
    "failure": [("fails", None, 2)],
    "mapped": [("mapped", 0, 1), ("mapped", 1, 1)],  # two equal callbacks trigger one run
    "second": [("mapped", 0, 1), ("mapped", 1, 1)],
    "success": [("succeeds", None, 1)],
    "dag": [(None, None, None)],
}
"""For each callback, task, map index and try number in the facts of the runs that it triggers."""


@pytest.fixture(scope="module")
def notified(deployments):
    """For each connection, the run that fails, the one that succeeds, and the runs that their callbacks triggered."""
    deployments.target_v1.add_connection("http_conn", deployments.target.connection("http"))
    started = {}
    for conn, home in HOMES.items():
        deployment = getattr(deployments, home)
        deployment.wait_for_dags("notify", "notify_success")
        started[conn] = [trigger_run(deployment, dag, conf={"conn": conn}) for dag in ("notify", "notify_success")]
    number = sum(map(len, EXPECTED.values())) + 1
    found = {}
    for conn, (failing, succeeding) in started.items():
        target = deployments.target if conn == "http_conn" else deployments.target_of(conn)
        failing.wait(240)
        succeeding.wait(240)
        deadline = time.monotonic() + 120  # the DAG processor runs the callback of the DAG later
        while len(runs := _triggered(target, failing.run_id, succeeding.run_id)) < number:
            if time.monotonic() > deadline:
                break
            time.sleep(1)
        found[conn] = failing, succeeding, runs
    return found


def _triggered(target, *run_ids):
    listed = target.request("GET", "dags/quick/dagRuns", params={"limit": 100, "order_by": "-id"})["dag_runs"]
    return [run for run in listed if run["conf"].get("triggered_by", {}).get("run_id") in run_ids]


each_home = pytest.mark.parametrize("conn", HOMES)


@each_home
def test_each_callback_triggers_one_run_with_its_facts(notified, conn):
    failing, _, runs = notified[conn]

    by_callback = defaultdict(list)
    for conf in (run["conf"] for run in runs):
        if conf["triggered_by"]["dag_id"] == "notify":
            facts = conf["triggered_by"]
            assert facts["run_id"] == conf["rendered_for"] == failing.run_id
            by_callback[conf["callback"]].append((facts["task_id"], facts["map_index"], facts["try_number"]))
    assert {name: sorted(found, key=str) for name, found in by_callback.items()} == EXPECTED


@each_home
def test_facts_of_a_failure(notified, deployments, conn):
    failing, _, runs = notified[conn]

    (facts,) = (run["conf"]["triggered_by"] for run in runs if run["conf"].get("callback") == "failure")
    assert (facts["exception"], facts["state"], facts["reason"]) == ("ValueError: no rows", "failed", None)
    assert facts["deployment"] == failing.deployment.url
    assert facts["log_url"].startswith(failing.deployment.url)
    (facts,) = (run["conf"]["triggered_by"] for run in runs if run["conf"].get("callback") == "dag")
    assert (facts["reason"], facts["task_id"], facts["exception"]) == ("task_failure", None, None)


@each_home
def test_note_links_to_what_the_callback_is_for(notified, conn):
    failing, _, runs = notified[conn]

    notes = {run["conf"].get("callback"): (run["note"], run["conf"]["triggered_by"]) for run in runs}
    for callback, linked in (("failure", "task `fails` of dag `notify`"), ("dag", "dag `notify`")):
        note, facts = notes[callback]
        (url,) = re.findall(r"\]\((\S+)\)", note)
        expected = f"Triggered by a callback: [{linked}]({url}), run `{failing.run_id}`: `failed`."
        assert (note, facts["dag_id"]) == (expected, "notify")
        assert url.startswith(f"{failing.deployment.url}/dags/notify/")
        assert failing.run_id in unquote(url)
        assert ("fails" in url) is (callback == "failure")


@each_home
def test_callback_of_a_dag_that_succeeds(notified, conn):
    _, succeeding, runs = notified[conn]

    (conf,) = (run["conf"] for run in runs if run["conf"]["triggered_by"]["dag_id"] == "notify_success")
    assert set(conf) == {"triggered_by"}
    assert (conf["triggered_by"]["run_id"], conf["triggered_by"]["reason"]) == (succeeding.run_id, "success")


@each_home
def test_error_of_the_target_does_not_hide_the_failure(notified, conn):
    failing, _, _ = notified[conn]

    log = failing.log("nowhere").replace("\\'", "'")  # in Airflow 2, the log is the text of a Python list
    assert "the failure itself" in log
    assert "Not triggered: dag 'no_such_dag': " in log
    assert "has no dag 'no_such_dag'" in log
    assert failing.states()["nowhere"] == "failed"
