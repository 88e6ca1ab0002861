"""Makes trigger operators for the tests."""

from __future__ import annotations

from typing import Any

from astro_provider.operators.dag_run import AstroTriggerDagRunOperator

RUN_ID = "here.example.com~local~manual__2026-02-01T06:00:00+00:00~trigger~1"
"""What a first try creates, see ``tests.unit.task_runner.TaskInstance``."""


_BEFORE = "2026-01-01T00:00:00+00:00"
CREATED_BEFORE = {"queued_at": _BEFORE, "start_date": _BEFORE, "logical_date": _BEFORE}
"""Dates of a run that was created before this task's dag run began."""


def trigger(**options: Any) -> AstroTriggerDagRunOperator:
    return AstroTriggerDagRunOperator(**{"task_id": "trigger", "trigger_dag_id": "d", **options})
