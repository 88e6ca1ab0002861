"""Whether a user ended a task, from the API of Airflow 3 or the database of Airflow 2."""

from __future__ import annotations

import threading
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION, CAN_START_FROM_TRIGGER, XCom
from astro_provider.tasks import task_state
from astro_provider.tasks.task_state import deferral_ended, ended_by_user
from tests.unit.task_runner import TaskInstance

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
DEFERRAL = [("deferred", False), ("failed", True), ("scheduled", True), (None, True)]


@pytest.fixture(autouse=True)
def _checks_follow_each_other_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_state, "CHECK_PAUSE_SECONDS", 0)


@pytest.fixture
def remote_run_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Return a function that sets the XCom with the id of the task's remote run."""

    def remote_run_is(run_id: str | None) -> None:
        def get_one(*, key: str, dag_id: str, task_id: str, run_id: str, map_index: int) -> str | None:
            assert (key, dag_id, task_id, run_id) == ("trigger_run_id", TASK.dag_id, TASK.task_id, TASK.run_id)
            return its_run if map_index == TASK.map_index else None

        its_run = run_id
        monkeypatch.setattr(XCom, "get_one", staticmethod(get_one))

    remote_run_is("theirs")
    return remote_run_is


class State(str, Enum):
    """Like the states of Airflow, of which str() is not the value."""

    FAILED = "failed"
    RUNNING = "running"


@pytest.fixture
def airflow_3(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[dict[str, Any]]]:
    """Return a function that sets the state which Airflow 3 reports, and returns the list of calls."""
    runner = pytest.importorskip("airflow.sdk.execution_time.task_runner", reason="Airflow 3")
    calls_received: list[dict[str, Any]] = []

    def report(state: Any) -> list[dict[str, Any]]:
        def get_task_states(**what: Any) -> dict[str, dict[str, Any]]:
            calls_received.append(what)
            if isinstance(state, Exception):
                raise state
            return {} if state == "deleted" else {TASK.run_id: {"trigger_3": state}}

        monkeypatch.setattr(runner.RuntimeTaskInstance, "get_task_states", staticmethod(get_task_states))
        return calls_received

    return report


@pytest.mark.parametrize(("state", "ended"), [*STATES, (State.FAILED, True), (State.RUNNING, False), ("deleted", True)])
def test_airflow_3_reads_the_state_of_this_map_index(
    airflow_3: Callable[[Any], list[dict[str, Any]]], state: Any, ended: bool
) -> None:
    calls_received = airflow_3(state)
    assert ended_by_user(TASK) is ended
    assert calls_received == [{"dag_id": "local", "task_ids": ["trigger"], "run_ids": [TASK.run_id], "map_index": 3}]


async def test_unreadable_state_counts_as_not_ended(airflow_3: Callable[[Any], list[dict[str, Any]]]) -> None:
    assert airflow_3(RuntimeError("the API server does not respond")) == []
    assert ended_by_user(TASK) is False
    assert await deferral_ended(TASK, "theirs") is False


async def test_supervisor_that_does_not_respond_does_not_block_the_triggerer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(task_state, "MAX_STATE_SECONDS", 0.1)
    monkeypatch.setattr(task_state, "task_state", lambda ti: (answered.wait(30), "failed")[1])
    assert await deferral_ended(TASK, "theirs") is False
    answered.set()


@pytest.mark.parametrize(("state", "ended"), DEFERRAL)
async def test_deferral_has_ended_when_the_task_is_not_deferred(
    airflow_3: Callable[[Any], list[dict[str, Any]]], remote_run_is: Any, state: Any, ended: bool
) -> None:
    calls_received = airflow_3(state)
    assert await deferral_ended(TASK, "theirs") is ended
    assert {call["map_index"] for call in calls_received} == {3}


@pytest.mark.parametrize(("run_id", "ended"), [("theirs", False), ("another", True), (None, False)])
async def test_deferral_has_ended_when_the_task_waits_for_another_run(
    monkeypatch: pytest.MonkeyPatch, remote_run_is: Callable[[str | None], None], run_id: str | None, ended: bool
) -> None:
    monkeypatch.setattr(task_state, "task_state", lambda ti: "deferred")
    remote_run_is(run_id)
    assert await deferral_ended(TASK, "theirs") is ended


@pytest.mark.skipif(not CAN_START_FROM_TRIGGER, reason="Airflow 3.3 and later")
async def test_deferral_of_a_cleared_task_has_ended_although_its_next_try_is_deferred_first(
    monkeypatch: pytest.MonkeyPatch, remote_run_is: Callable[[str | None], None]
) -> None:
    """The next try starts in the triggerer, deletes the XComs of the former one, and continues on a worker."""
    states = iter(["deferred", "deferred", "scheduled"])
    monkeypatch.setattr(task_state, "task_state", lambda ti: next(states))
    remote_run_is(None)
    assert await deferral_ended(TASK, "theirs") is True


@pytest.fixture
def airflow_2() -> Any:
    """Create the tables of Airflow 2; return a function that sets the state of TASK, and another one of its sibling."""
    if AIRFLOW_VERSION >= (3, 0):
        pytest.skip("Airflow 2")
    from airflow import settings
    from airflow.models import import_all_models
    from airflow.models.log import Log
    from airflow.models.taskinstance import TaskInstance as Row

    import_all_models()  # the tables refer to others
    table, log = Row.__table__, Log.__table__
    for each in (table, log):
        each.drop(settings.engine, checkfirst=True)
        each.create(settings.engine)

    def set_state(state: str | None) -> None:
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

    yield set_state
    table.drop(settings.engine)
    log.drop(settings.engine)


@pytest.mark.parametrize(("state", "ended"), STATES)
def test_airflow_2_reads_the_state_of_this_map_index(airflow_2: Any, state: str | None, ended: bool) -> None:
    airflow_2(state)
    assert ended_by_user(TASK) is ended


@pytest.mark.parametrize(
    ("event", "of", "state", "ended"),
    [
        ("heartbeat timeout", {}, "failed", False),
        ("heartbeat timeout", {}, "success", True),
        ("heartbeat timeout", {"try_number": 2}, "failed", True),
        ("heartbeat timeout", {"map_index": 2}, "failed", True),
        ("failed", {}, "failed", True),
    ],
)
def test_heartbeat_timeout_in_the_log_of_airflow_2_is_not_a_user(
    airflow_2: Any, event: str, of: dict[str, Any], state: str, ended: bool
) -> None:
    """The scheduler marks such a task failed, as a user would, but also writes this log entry."""
    from airflow.models.log import Log
    from airflow.models.taskinstancekey import TaskInstanceKey
    from airflow.utils.session import create_session

    airflow_2(state)
    key = {"dag_id": TASK.dag_id, "task_id": TASK.task_id, "run_id": TASK.run_id, "try_number": 1, "map_index": 3, **of}
    with create_session() as session:
        session.add(Log(event=event, task_instance=TaskInstanceKey(**key)))
    assert ended_by_user(TASK) is ended


@pytest.mark.parametrize(("state", "ended"), DEFERRAL)
async def test_deferral_has_ended_when_the_task_of_airflow_2_is_not_deferred(
    airflow_2: Any, remote_run_is: Any, state: str | None, ended: bool
) -> None:
    airflow_2(state)
    assert await deferral_ended(TASK, "theirs") is ended
