"""Operators pause and unpause dags and call any endpoint of real targets."""

from __future__ import annotations

import pytest

from tests.integration.conftest import CaseRuns, both_targets

CASES = {"endpoints": ("call_endpoints", {}), "missing": ("pause_missing", {})}


@pytest.fixture(scope="module")
def batch(start_case):
    return CaseRuns(start_case, CASES)


@both_targets
def test_operators_pause_and_unpause_a_dag(start_case, conn, target):
    run = start_case("pause_and_unpause", conn=conn)
    run.wait_until(run.task_is("pause", "success"), "the dag is paused")
    run.wait()

    assert (run.xcom("pause")["is_paused"], run.xcom("unpause")["is_paused"]) == (True, False)
    assert (run.xcom("pause")["was_paused"], run.xcom("unpause")["was_paused"]) == (False, True)
    assert target.request("GET", "dags/quick")["is_paused"] is False
    where = f"in Deployment {target.url} (connection '{conn}')"
    assert run.log_contains("pause", f"Paused: dag 'quick', which was not paused before, {where}")
    assert run.log_contains("unpause", f"Not paused: dag 'quick', which was paused before, {where}")


@both_targets
def test_missing_dag_is_reported_with_similar_ids(batch, conn):
    run = batch.finished("missing", conn)

    assert run.state == "failed"
    assert "It has 'quick'" in run.log("pause")


@both_targets
def test_all_pages_of_a_collection_are_returned(batch, conn, target):
    result = batch.finished("endpoints", conn).xcom("dags")

    listed = target.request("GET", "dags", params={"limit": 100})
    assert sorted(dag["dag_id"] for dag in result["dags"]) == sorted(dag["dag_id"] for dag in listed["dags"])
    assert result["total_entries"] == listed["total_entries"]


@both_targets
def test_invalid_request_is_reported_field_by_field(batch, conn):
    run = batch.finished("endpoints", conn)

    assert run.states()["invalid"] == "failed"
    assert "slots" in run.log("invalid")
