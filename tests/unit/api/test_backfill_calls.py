"""The calls about backfills; tests/contract compares them with Airflow's description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api import backfill_calls
from astro_provider.api.errors import RequestNotPossible, UnexpectedAnswerError
from tests.unit.scripted_target import json_response

if TYPE_CHECKING:
    from tests.unit.scripted_target import ScriptedTarget


def test_fields_without_a_value_are_left_out(target: ScriptedTarget) -> None:
    """Airflow before 3.2 refuses a ``dag_run_conf`` of null."""
    target.on("POST", "backfills", json_response({}))
    with pytest.raises(UnexpectedAnswerError, match="a backfill"):
        target.run(target.client().call(backfill_calls.create_backfill, "d", {"dag_run_conf": None, "to_date": "x"}))
    assert target.received[0].json == {"dag_id": "d", "to_date": "x"}


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (backfill_calls.create_backfill, ("d", {})),
        (backfill_calls.get_backfill, (1,)),
        (backfill_calls.list_backfills, ({"limit": 1, "offset": 0}, "d")),
        (backfill_calls.cancel_backfill, (1,)),
    ],
)
def test_airflow_2_has_no_backfills(target_v1: ScriptedTarget, call: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(RequestNotPossible, match="Backfills need Airflow 3 in the target; this one runs Airflow 2"):
        target_v1.run(target_v1.client().call(call, *arguments))
