"""What a try of a task that clears a run knows of the tries before it."""

from __future__ import annotations

from typing import Any

from astro_provider.tasks.clear_tries import EarlierTries, earlier_tries, store_cleared_run
from tests.unit.task_runner import NOW, RUN_STARTED, Store, TaskInstance, context


def try_context(number: int, store: Store | None = None, max_tries: int = 2) -> dict[str, Any]:
    more = {} if store is None else {"task_state_store": store}
    return context(TaskInstance(try_number=number, max_tries=max_tries), **more)


def test_first_try_has_none_before_it() -> None:
    assert earlier_tries(try_context(1), retries=2) == EarlierTries(False, NOW.timestamp(), True)


def test_retry_knows_what_an_earlier_try_stored() -> None:
    store = Store()
    first = try_context(1, store)
    earlier_tries(first, retries=2)
    store_cleared_run(first, "r", cleared=True)
    assert earlier_tries(try_context(2, store), retries=2) == EarlierTries(True, NOW.timestamp(), True, "r", True)


def test_first_try_after_a_clear_uses_nothing_from_before() -> None:
    store = Store()
    first = try_context(1, store)
    earlier_tries(first, retries=2)
    store_cleared_run(first, "r", cleared=True)
    again = earlier_tries(try_context(2, store, max_tries=3), retries=2)
    assert (again.retry, again.run_id, again.cleared) == (False, None, False)


def test_retry_after_a_clear_uses_nothing_from_before_the_clear() -> None:
    store = Store()
    first = try_context(1, store)
    earlier_tries(first, retries=2)
    store_cleared_run(first, "r", cleared=True)
    earlier_tries(try_context(2, store, max_tries=3), retries=2)  # fails before it stores what it clears
    again = earlier_tries(try_context(3, store, max_tries=3), retries=2)
    assert (again.retry, again.run_id, again.cleared) == (False, None, False)


def test_retry_knows_that_a_try_that_stored_nothing_has_cleared_nothing() -> None:
    store = Store()
    earlier_tries(try_context(1, store), retries=2)
    assert earlier_tries(try_context(2, store), retries=2).retry is False


def test_retry_without_a_store_knows_the_start_of_the_dag_run() -> None:
    assert earlier_tries(try_context(2), retries=2) == EarlierTries(True, RUN_STARTED.timestamp(), True)


def test_store_that_fails_is_treated_like_one_that_is_missing() -> None:
    class Failing(Store):
        def get(self, key: str, default: Any = None) -> Any:
            raise RuntimeError("away")

        def set(self, key: str, value: Any) -> None:
            raise RuntimeError("away")

    store = Failing()
    store_cleared_run(try_context(1, store), "r", cleared=True)
    assert earlier_tries(try_context(2, store), retries=2).run_id is None
