"""What a triggerer provides to a trigger that does all the work of a task (Airflow 3.3 and later)."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.fixture
def xcoms(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Store the XComs of the task, which a triggerer sends to its supervisor."""
    from airflow.sdk.execution_time.xcom import XCom

    from tests.unit.task_runner import TaskInstance

    stored: dict[str, Any] = {}
    own = {"dag_id": "local", "run_id": TaskInstance().run_id, "map_index": -1}

    def check(task: dict[str, Any]) -> None:
        assert task.pop("task_id") in ("wait", "trigger")
        assert task == own

    async def aset(key: str, value: Any, **task: Any) -> None:
        check(task)
        stored[key] = json.loads(json.dumps(value))

    async def aget_one(*, key: str, **task: Any) -> Any:
        check(task)
        return stored.get(key)

    def delete(key: str, **task: Any) -> None:
        check(task)
        stored.pop(key, None)

    for method in (aset, aget_one, delete):
        monkeypatch.setattr(XCom, method.__name__, method)
    return stored


@pytest.fixture
def _log_is_flushed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from astro_provider.triggers import task_trigger

    monkeypatch.setattr(task_trigger, "LOG_FLUSH_SECONDS", 0)
