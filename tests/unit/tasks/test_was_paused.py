"""What a task stores about the pause of a dag, and which later tries read it."""

from __future__ import annotations

from typing import Any

import pytest

from astro_provider.tasks.was_paused import store_was_paused, stored_was_paused
from tests.unit.task_runner import Store, TaskInstance, context


def make_context(store: Any, try_number: int = 1, max_tries: int = 2) -> Any:
    return context(TaskInstance(try_number=try_number, max_tries=max_tries), task_state_store=store)


@pytest.mark.parametrize("was_paused", [True, False])
def test_retries_read_what_the_first_try_has_stored(was_paused: bool) -> None:
    store = Store()
    store_was_paused(make_context(store), "d", was_paused)
    assert [stored_was_paused(make_context(store, number), "d") for number in (2, 3)] == [was_paused] * 2


def test_other_dag_other_round_of_tries_and_first_try_read_nothing() -> None:
    store = Store()
    store_was_paused(make_context(store), "d", True)
    assert stored_was_paused(make_context(store, 2), "other") is None
    assert stored_was_paused(make_context(store, 2, max_tries=3), "d") is None
    assert stored_was_paused(make_context(store, 1), "d") is None


@pytest.mark.parametrize("store", [None, object(), Store()], ids=["no store", "store that fails", "empty store"])
def test_nothing_is_known_without_a_store(store: Any) -> None:
    if not isinstance(store, Store):
        store_was_paused(make_context(store), "d", True)
    assert stored_was_paused(make_context(store, 2), "d") is None
