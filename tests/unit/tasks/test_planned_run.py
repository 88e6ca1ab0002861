"""The run id of all tries since the last clear, with and without Airflow's task state store."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from astro_provider.tasks.planned_run import PlannedRun, plan_run
from tests.unit.task_runner import NOW, RUN_BEGAN, Store, TaskInstance, context


class Task:
    """A task instance as it goes through tries and clears, which Airflow counts."""

    def __init__(self, retries: int, store: Any) -> None:
        self.retries = retries
        self.store = store
        self.max_tries = retries
        self.try_number = 0
        self.clear_number = 0

    def clear(self) -> None:
        self.max_tries = self.try_number + self.retries
        self.clear_number += 1

    def runs(self, given: str | None = None) -> PlannedRun:
        self.try_number += 1
        ti = TaskInstance(try_number=self.try_number, max_tries=self.max_tries)
        dag_run = SimpleNamespace(start_date=RUN_BEGAN, clear_number=self.clear_number)
        more = {} if self.store is None else {"task_state_store": self.store}
        made = context(ti, dag_run=dag_run, **more)
        return plan_run(made, given_run_id=given, retries=self.retries, warn=print)  # type: ignore[arg-type]


@pytest.fixture(params=["store", "no store", "store that fails"])
def store(request: pytest.FixtureRequest) -> Any:
    """What Airflow 3.3 has, what earlier ones have, and what fails."""
    return {"store": Store(), "no store": None, "store that fails": object()}[request.param]


def test_tries_use_one_run_id_and_a_clear_makes_another(store: Any) -> None:
    task = Task(2, store)
    before = [task.runs() for _ in range(3)]
    task.clear()
    after = [task.runs() for _ in range(3)]
    assert [[run.run_id[-2:] for run in runs] for runs in (before, after)] == [["~1"] * 3, ["~4"] * 3]
    assert [run.retry for run in (*before, *after)] == [False, True, True] * 2
    assert all(run.derived for run in (*before, *after))
    assert before[0].run_ids_before_clear == frozenset()
    assert before[0].run_id in after[0].run_ids_before_clear
    assert after[0].run_id not in after[0].run_ids_before_clear


@pytest.mark.parametrize(("retries", "changed"), [(2, 1), (2, 5), (1, 0), (0, 3)])
def test_a_change_of_retries_between_two_tries_keeps_the_run_id(retries: int, changed: int) -> None:
    task = Task(retries, Store())
    first = task.runs()
    task.retries = changed
    second = task.runs()
    assert (second.run_id, first.retry, second.retry) == (first.run_id, False, True)


def test_without_a_store_lower_retries_change_the_run_id() -> None:
    """What is left of it before Airflow 3.3; the docstring of the operator says so."""
    task = Task(2, None)
    first = task.runs()
    task.retries = 1
    assert task.runs().run_id != first.run_id


@pytest.mark.parametrize(("retries", "changed"), [(2, 1), (1, 3), (0, 3), (2, 2)])
def test_a_clear_makes_another_run_id_whenever_retries_are_changed(retries: int, changed: int) -> None:
    for change_before_clear in (True, False):
        task = Task(retries, Store())
        before = {task.runs().run_id for _ in range(retries + 1)}
        if change_before_clear:
            task.retries = changed
        task.clear()
        task.retries = changed
        after = task.runs(), task.runs()
        assert len({run.run_id for run in after}) == 1
        assert not before & {run.run_id for run in after}
        assert [run.retry for run in after] == [False, True]


def test_a_clear_of_another_task_is_none_of_this_one(store: Any) -> None:
    task = Task(2, store)
    first = task.runs()
    task.clear_number += 1
    assert task.runs().run_id == first.run_id


def test_a_given_run_id_is_used_as_it_is(store: Any) -> None:
    task = Task(2, store)
    assert [(run.run_id, run.derived) for run in (task.runs("a"), task.runs("b"))] == [("a", False), ("b", False)]


def test_when_the_first_try_began() -> None:
    now, earlier = NOW.timestamp(), RUN_BEGAN.timestamp()
    for store, retry_after_clear in ((Store(), (now, True)), (None, (earlier, False))):
        task = Task(1, store)
        first, second = task.runs(), task.runs()
        assert (first.started_at, first.started_at_is_exact) == (now, True)
        assert (second.started_at, second.started_at_is_exact) == ((now if store else earlier), True)
        task.clear()
        first, second = task.runs(), task.runs()
        assert (first.started_at, first.started_at_is_exact) == (now, True)
        assert (second.started_at, second.started_at_is_exact) == retry_after_clear


def test_a_store_that_was_empty_at_the_first_try_does_not_tell_when_that_was() -> None:
    """A note of a retry must not make a run of the first try look older than the task."""
    task = Task(3, None)
    task.runs()
    task.clear()
    task.runs()
    task.store = Store()
    task.runs()
    last = task.runs()
    assert (last.started_at, last.started_at_is_exact) == (RUN_BEGAN.timestamp(), False)


@pytest.mark.parametrize("stored", ["text", {}, {"first_try": 1}, None, 5])
def test_a_note_that_cannot_be_read_is_none(stored: Any) -> None:
    store = Store()
    store.stored["astro_trigger_dag_run"] = stored
    assert Task(1, store).runs().run_id.endswith("~1")
