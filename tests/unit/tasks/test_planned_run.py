"""The run that the tries of a task plan, with and without Airflow's task state store."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from astro_provider.tasks.planned_run import PlannedRun, plan_run
from tests.unit.task_runner import NOW, RUN_STARTED, Store, TaskInstance, context


class Task:
    """A task whose tries and clears are counted as Airflow counts them."""

    def __init__(self, retries: int, store: Any) -> None:
        self.retries = retries
        self.store = store
        self.max_tries = retries
        self.try_number = 0
        self.clear_number = 0

    def clear(self) -> None:
        self.max_tries = self.try_number + self.retries
        self.clear_number += 1

    def next_try(self, given: str | None = None) -> PlannedRun:
        self.try_number += 1
        ti = TaskInstance(try_number=self.try_number, max_tries=self.max_tries)
        dag_run = SimpleNamespace(start_date=RUN_STARTED, clear_number=self.clear_number)
        more = {} if self.store is None else {"task_state_store": self.store}
        made = context(ti, dag_run=dag_run, **more)
        return plan_run(made, given_run_id=given, retries=self.retries, warn=print)  # type: ignore[arg-type]


@pytest.fixture(params=["store", "no store", "store that fails"])
def store(request: pytest.FixtureRequest) -> Any:
    """The store of Airflow 3.3, no store as on earlier versions, and a store that fails."""
    return {"store": Store(), "no store": None, "store that fails": object()}[request.param]


def test_all_tries_use_one_run_id_until_a_clear(store: Any) -> None:
    task = Task(2, store)
    before = [task.next_try() for _ in range(3)]
    task.clear()
    after = [task.next_try() for _ in range(3)]
    assert [[run.run_id[-2:] for run in next_try] for next_try in (before, after)] == [["~1"] * 3, ["~4"] * 3]
    assert [run.retry for run in (*before, *after)] == [False, True, True] * 2
    assert all(run.derived for run in (*before, *after))
    assert before[0].run_ids_before_clear == frozenset()
    assert before[0].run_id in after[0].run_ids_before_clear
    assert after[0].run_id not in after[0].run_ids_before_clear


@pytest.mark.parametrize(("retries", "changed"), [(2, 1), (2, 5), (1, 0), (0, 3)])
def test_store_keeps_the_run_id_when_retries_change(retries: int, changed: int) -> None:
    task = Task(retries, Store())
    first = task.next_try()
    task.retries = changed
    second = task.next_try()
    assert (second.run_id, first.retry, second.retry) == (first.run_id, False, True)


def test_lower_retries_change_the_run_id_without_a_store() -> None:
    """A limitation before Airflow 3.3, which the docstring of the operator describes."""
    task = Task(2, None)
    first = task.next_try()
    task.retries = 1
    assert task.next_try().run_id != first.run_id


@pytest.mark.parametrize(("retries", "changed"), [(2, 1), (1, 3), (0, 3), (2, 2)])
def test_clear_changes_the_run_id_even_if_retries_change(retries: int, changed: int) -> None:
    for change_before_clear in (True, False):
        task = Task(retries, Store())
        before = {task.next_try().run_id for _ in range(retries + 1)}
        if change_before_clear:
            task.retries = changed
        task.clear()
        task.retries = changed
        after = task.next_try(), task.next_try()
        assert len({run.run_id for run in after}) == 1
        assert not before & {run.run_id for run in after}
        assert [run.retry for run in after] == [False, True]


def test_clear_of_another_task_keeps_the_run_id(store: Any) -> None:
    task = Task(2, store)
    first = task.next_try()
    task.clear_number += 1
    assert task.next_try().run_id == first.run_id


def test_given_run_id_is_used_unchanged(store: Any) -> None:
    task = Task(2, store)
    assert [(run.run_id, run.derived) for run in (task.next_try("a"), task.next_try("b"))] == [
        ("a", False),
        ("b", False),
    ]


def test_start_of_the_first_try_is_stored_for_its_retries() -> None:
    now, earlier = NOW.timestamp(), RUN_STARTED.timestamp()
    for store, retry_after_clear in ((Store(), (now, True)), (None, (earlier, False))):
        task = Task(1, store)
        first, second = task.next_try(), task.next_try()
        assert (first.started_at, first.started_at_is_after_clear) == (now, True)
        assert (second.started_at, second.started_at_is_after_clear) == ((now if store else earlier), True)
        task.clear()
        first, second = task.next_try(), task.next_try()
        assert (first.started_at, first.started_at_is_after_clear) == (now, True)
        assert (second.started_at, second.started_at_is_after_clear) == retry_after_clear


def test_start_is_not_after_the_clear_if_the_first_try_did_not_store_it() -> None:
    """A retry that stores its start must not make the run of the first try look older than the task."""
    task = Task(3, None)
    task.next_try()
    task.clear()
    task.next_try()
    task.store = Store()
    task.next_try()
    last = task.next_try()
    assert (last.started_at, last.started_at_is_after_clear) == (RUN_STARTED.timestamp(), False)


@pytest.mark.parametrize("stored", ["text", {}, {"first_try": 1}, None, 5])
def test_unreadable_store_content_is_ignored(stored: Any) -> None:
    store = Store()
    store.stored["astro_trigger_dag_run"] = stored
    assert Task(1, store).next_try().run_id.endswith("~1")
