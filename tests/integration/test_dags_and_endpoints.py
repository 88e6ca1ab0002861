"""Pausing, unpausing and asking any endpoint, on real targets."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Batch, both_targets

CASES = {"ask": ("ask", {}), "missing": ("pause_missing", {})}


@pytest.fixture(scope="module")
def batch(begin):
    return Batch(begin, CASES)


@both_targets
def test_pause_and_unpause(begin, conn, target):
    run = begin("pause_and_unpause", conn=conn)
    run.wait_until(run.task_is("pause", "success"), "it is paused")
    run.wait()

    assert (run.xcom("pause")["is_paused"], run.xcom("unpause")["is_paused"]) == (True, False)
    assert target.request("GET", "dags/quick")["is_paused"] is False


@both_targets
def test_a_missing_dag_is_named_with_those_like_it(batch, conn):
    run = batch.finished("missing", conn)

    assert run.state == "failed"
    assert "It has 'quick'" in run.log("pause")


@both_targets
def test_all_pages(batch, conn, target):
    answer = batch.finished("ask", conn).xcom("dags")

    there = target.request("GET", "dags", params={"limit": 100})
    assert sorted(dag["dag_id"] for dag in answer["dags"]) == sorted(dag["dag_id"] for dag in there["dags"])
    assert answer["total_entries"] == there["total_entries"]


@both_targets
def test_what_is_refused_is_told_field_by_field(batch, conn):
    run = batch.finished("ask", conn)

    assert run.states()["refused"] == "failed"
    assert "slots" in run.log("refused")
