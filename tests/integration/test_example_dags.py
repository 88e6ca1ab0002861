"""Every example DAG succeeds, unchanged, on real deployments of Airflow 3 and Airflow 2."""

from __future__ import annotations

import ast

import pytest

from tests.integration.conftest import EXAMPLES, Deployments
from tests.integration.runs import Run, runs_of, trigger_run

DAG_IDS = sorted(file.stem for file in EXAMPLES.glob("*.py"))
FAILS = "notify_on_failure"
HOMES = ("triggering", "target_v1")  # the deployments that run the examples, both against the Airflow 3 target

# These change a dag or a variable of the target, or need its only backfill, so each runs only once at the same time.
FIRST, SECOND = ("pause_work_unpause", "backfill"), ("any_endpoint",)

LOGICAL_DATES = {
    # Follows the Astro documentation, and needs a logical date. The target has one run for each date.
    ("triggering", "before_and_after"): "2026-06-01T00:00:00Z",
    ("target_v1", "before_and_after"): "2026-06-02T00:00:00Z",
    # An hour after the run of nightly_load.
    ("triggering", "same_night"): "2026-06-02T03:00:00Z",
    ("target_v1", "same_night"): "2026-06-02T03:00:00Z",
    # The day after the runs of six_hourly_load.
    ("triggering", "day_of_runs"): "2026-06-03T00:30:00Z",
    ("target_v1", "day_of_runs"): "2026-06-03T00:30:00Z",
}


@pytest.fixture(scope="module")
def examples(deployments: Deployments) -> dict[tuple[str, str], Run]:
    """One run of each example in each of the two deployments."""
    runs: dict[tuple[str, str], Run] = {}

    def start(home: str, dag_id: str) -> None:
        body = {"logical_date": date} if (date := LOGICAL_DATES.get((home, dag_id))) else {}
        body["conf"] = {"fail": True} if dag_id == FAILS else {}
        runs[home, dag_id] = trigger_run(getattr(deployments, home), dag_id, **body)

    def finish(*started: tuple[str, str]) -> None:
        for key in started:
            runs[key].wait(timeout=240)

    deployments.target_v1.add_connection("http_conn", deployments.target.connection("http"))
    deployments.target_v1.wait_for_dags(*DAG_IDS)
    deployments.triggering.wait_for_dags(*DAG_IDS)
    upstream = [
        trigger_run(deployments.target, "remote_report"),  # wait_for_upstream waits for this run
        trigger_run(deployments.target, "nightly_load", logical_date="2026-06-02T02:00:00Z"),
        *(
            trigger_run(deployments.target, "six_hourly_load", logical_date=f"2026-06-02T{hour:02}:00:00Z")
            for hour in (0, 6, 12, 18)
        ),
    ]
    for run in upstream:
        run.wait()
    for in_triggering, in_target_v1 in (FIRST, SECOND), (SECOND, FIRST):
        each_once = [
            *(("triggering", dag_id) for dag_id in in_triggering),
            *(("target_v1", dag_id) for dag_id in in_target_v1),
        ]
        for home, dag_id in each_once:
            start(home, dag_id)
        finish(*each_once)
    for dag_id in DAG_IDS:
        for home in HOMES:
            if (home, dag_id) not in runs:
                start(home, dag_id)
    finish(*runs)
    return runs


in_both = pytest.mark.parametrize("home", HOMES)


@in_both
@pytest.mark.parametrize("dag_id", [dag_id for dag_id in DAG_IDS if dag_id != FAILS])
def test_example_succeeds(examples, home, dag_id):
    run = examples[home, dag_id]

    assert run.state == "success", run.states()


@in_both
def test_trigger_and_wait_returns_the_remote_result(examples, deployments, home):
    run = examples[home, "trigger_and_wait"]

    remote = Run(deployments.target, "remote_report", run.xcom("trigger", "trigger_run_id"))
    assert remote.get()["conf"] == {"rows": 12, "triggered_by": run.run_id}
    assert result(run, "show_result") == remote.xcom("report") == {"rows": 12, "status": "ready"}


@in_both
def test_before_and_after_triggers_runs_of_the_same_date_and_of_now(examples, deployments, home):
    run = examples[home, "before_and_after"]

    runs = runs_of(deployments.target, "remote_report")
    same_date, now = (runs[run.xcom(task_id, "trigger_run_id")].get() for task_id in ("same_date", "now"))
    assert same_date["logical_date"] == LOGICAL_DATES[home, "before_and_after"]
    assert f'"{same_date["dag_run_id"]}"' in str(run.xcom("before"))
    assert now["logical_date"] > max(LOGICAL_DATES.values())


@in_both
def test_pause_work_unpause_leaves_the_dag_unpaused(examples, deployments, home):
    assert result(examples[home, "pause_work_unpause"], "pause")["is_paused"] is True
    assert deployments.target.request("GET", "dags/remote_report")["is_paused"] is False


@in_both
def test_any_endpoint_lists_and_deletes(examples, deployments, home):
    run = examples[home, "any_endpoint"]

    assert "remote_report" in result(run, "list_dags")
    assert result(run, "list_pools")["default_pool"] == 128
    variables = deployments.target.request("GET", "variables")["variables"]
    assert "last_visitor" not in [variable["key"] for variable in variables]


@in_both
@pytest.mark.parametrize("task_id", ["finished", "extracted"])
def test_wait_for_upstream_finds_the_run(examples, home, task_id):
    assert "Success: dag " in examples[home, "wait_for_upstream"].log(task_id)


@in_both
def test_same_night_waits_for_the_run_an_hour_before(examples, home):
    assert examples[home, "same_night"].log_contains("loaded", "2026-06-02T02:00:00")


@in_both
def test_day_of_runs_waits_for_all_runs_of_the_day(examples, home):
    assert examples[home, "day_of_runs"].log_contains("loaded", "4 of 4 are success")


@in_both
def test_map_and_collect_collects_the_results_in_order(examples, home):
    results = result(examples[home, "map_and_collect"], "collect")

    assert [result["rows"] for result in results] == [1, 2, 3]


@in_both
def test_notify_on_failure_triggers_a_run_with_the_facts_of_the_failed_task(examples, deployments, home):
    run = examples[home, FAILS]
    assert run.states() == {"load": "failed"}
    confs = [remote.get()["conf"] or {} for remote in runs_of(deployments.target, "remote_report").values()]
    facts_of = {facts["run_id"]: facts for conf in confs if isinstance(facts := conf.get("triggered_by"), dict)}
    facts = facts_of[run.run_id]
    assert facts["task_id"] == "load"
    assert facts["deployment"] in getattr(deployments, home).url
    assert "the file has no rows" in facts["exception"]


def result(run: Run, task_id: str):
    """Return what a task returned; the REST API of Airflow 2 returns it as the text of a Python value."""
    value = run.xcom(task_id)
    return ast.literal_eval(value) if isinstance(value, str) else value


@in_both
def test_backfill_runs_each_night_of_the_range(examples, home):
    """Both homes create the same backfill, of which the second one runs the runs of the first again."""
    assert "3 of 3 days have run again" in examples[home, "backfill"].xcom("summarise")
