"""Whether a user ended a task, as Airflow tells: its API on Airflow 3, its database on Airflow 2."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from astro_provider.task_state import ended_by_user
from tests.unit.tasks import TaskInstance

if TYPE_CHECKING:
    from collections.abc import Callable

TASK = TaskInstance(task_id="trigger", map_index=3)
STATES = [
    ("failed", True),
    ("success", True),
    ("skipped", True),
    ("restarting", True),
    ("removed", True),
    (None, True),
    ("running", False),
    ("deferred", False),
    ("queued", False),
    ("scheduled", False),
]


class State(str, Enum):
    """As Airflow's own states, which do not print as their value."""

    FAILED = "failed"
    RUNNING = "running"


@pytest.fixture
def airflow_3(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[dict[str, Any]]]:
    """Let Airflow 3 answer with this state; gives what it is asked."""
    runner = pytest.importorskip("airflow.sdk.execution_time.task_runner", reason="Airflow 3")
    asked: list[dict[str, Any]] = []

    def answers(state: Any) -> list[dict[str, Any]]:
        def get_task_states(**what: Any) -> dict[str, dict[str, Any]]:
            asked.append(what)
            if isinstance(state, Exception):
                raise state
            return {TASK.run_id: {"trigger_3": state}}

        monkeypatch.setattr(runner.RuntimeTaskInstance, "get_task_states", staticmethod(get_task_states))
        return asked

    return answers


@pytest.mark.parametrize(("state", "ended"), [*STATES, (State.FAILED, True), (State.RUNNING, False)])
def test_airflow_3_is_asked_for_this_very_task(
    airflow_3: Callable[[Any], list[dict[str, Any]]], state: Any, ended: bool
) -> None:
    asked = airflow_3(state)
    assert ended_by_user(TASK) is ended
    assert asked == [{"dag_id": "local", "task_ids": ["trigger"], "run_ids": [TASK.run_id], "map_index": 3}]


@pytest.mark.parametrize("answer", [RuntimeError("the API server is away")])
def test_no_answer_means_that_nobody_ended_it(
    airflow_3: Callable[[Any], list[dict[str, Any]]], answer: Exception
) -> None:
    assert airflow_3(answer) == []
    assert ended_by_user(TASK) is False


@pytest.fixture
def airflow_2() -> Any:
    """A database with the states of two mapped task instances; gives a way to set that of ours."""
    if AIRFLOW_VERSION >= (3, 0):
        pytest.skip("Airflow 2")
    from airflow import settings
    from airflow.models import import_all_models
    from airflow.models.taskinstance import TaskInstance as Row

    import_all_models()  # the table refers to others
    table = Row.__table__
    table.drop(settings.engine, checkfirst=True)
    table.create(settings.engine)

    def is_in(state: str | None) -> None:
        with settings.engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")  # no dag run, no pool
            for index, its_state in ((2, "running" if state != "running" else "failed"), (3, state)):
                connection.execute(
                    table.insert().values(
                        task_id=TASK.task_id,
                        dag_id=TASK.dag_id,
                        run_id=TASK.run_id,
                        map_index=index,
                        state=its_state,
                        pool="default_pool",
                        pool_slots=1,
                    )
                )

    yield is_in
    table.drop(settings.engine)


@pytest.mark.parametrize(("state", "ended"), STATES)
def test_airflow_2_is_asked_for_this_very_task(airflow_2: Any, state: str | None, ended: bool) -> None:
    airflow_2(state)
    assert ended_by_user(TASK) is ended
