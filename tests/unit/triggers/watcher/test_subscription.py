"""Whether a wait can be checked in a batch."""

from __future__ import annotations

from typing import Any

import pytest

from astro_provider.waits.wait import EndStates, Verdict
from tests.unit.triggers.watcher.subscriptions import make_subscription


@pytest.mark.parametrize(
    ("fields", "can_be_batched"),
    [
        ({"run_id": "r"}, True),
        ({"run_id": None, "logical_dates": ["2026-02-01T00:00:00Z"]}, True),
        ({"run_id": "r", "task_ids": ["load"]}, True),
        ({"run_id": "r", "task_ids": ["load"], "run_state": "success"}, True),
        ({"run_id": None, "latest": True}, False),
        ({"run_id": None, "logical_dates": ["2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"]}, False),
        ({"run_id": "r", "group_id": "g"}, False),
        ({"run_id": "r", "end_states": EndStates(("running",))}, False),
        ({"run_id": "r", "run_state": "failed", "end_states": EndStates(("success",))}, False),
    ],
)
def test_wait_can_be_batched_if_it_is_for_one_unfinished_run(fields: dict[str, Any], can_be_batched: bool) -> None:
    assert make_subscription(**fields).can_be_batched is can_be_batched


def test_wait_cannot_be_batched_if_its_run_does_not_exist() -> None:
    subscription = make_subscription("r")
    subscription.note_verdict(Verdict("pending", "not there yet"))
    assert not subscription.can_be_batched
