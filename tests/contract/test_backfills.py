"""The requests about backfills, and the responses of the fake Airflow to them, match the description of API v2."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api import backfill_calls
from astro_provider.api.errors import ConflictError, NotFoundError, RequestNotPossible
from astro_provider.tasks.backfill_request import BackfillRequest
from astro_provider.tasks.cancel_backfill import cancel_backfill
from astro_provider.tasks.create_backfill import EarlierTries, ensure_backfill
from astro_provider.waits.backfill import BackfillWait, check_backfill
from tests.contract.test_requests import DescribedAirflow
from tests.unit.fake_backfills import FROM, TO, HasBackfills

if TYPE_CHECKING:
    from astro_provider.api.types import Backfill

pytestmark = pytest.mark.filterwarnings("ignore:Unsupported scheme type")

DAG = "daily.ż"


class DescribedBackfills(DescribedAirflow, HasBackfills):
    """A fake Airflow with backfills that validates every request and every response."""

    def __init__(self, api_version: str = "v2") -> None:
        super().__init__(api_version)
        self.dags[DAG] = True


def request(**fields: Any) -> BackfillRequest:
    values = {"reprocess_behavior": "none", "max_active_runs": 3, "run_backwards": True, "dag_run_conf": {"a": [1]}}
    return BackfillRequest("http_conn", DAG, FROM, TO, waits=True, **{**values, **fields})  # type: ignore[arg-type]


def create(target: DescribedBackfills, **fields: Any) -> Backfill:
    tries = EarlierTries(None, is_retry=False)
    flow = ensure_backfill(target.client(), request(**fields), tries, log=print, warn=print)
    return target.run(flow)


def _is_call(thing: object) -> bool:
    return (
        inspect.isfunction(thing) and thing.__module__ == backfill_calls.__name__ and not thing.__name__.startswith("_")
    )


def test_requests_and_responses_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last assertion names each call that this test does not make."""
    called: set[str] = set()
    own = {name: function for name, function in vars(backfill_calls).items() if _is_call(function)}
    for name, function in own.items():

        def recorded(*arguments: Any, name: str = name, function: Any = function) -> Any:
            called.add(name)
            return function(*arguments)

        monkeypatch.setattr(backfill_calls, name, recorded)
    target = DescribedBackfills()
    wait = BackfillWait.of(create(target, dag_run_conf=None))
    assert target.run(check_backfill(target.client(), wait)).outcome == "pending"
    assert "Cancelled" in target.run(cancel_backfill(target.client(), wait))
    assert target.run(check_backfill(target.client(), wait)).outcome == "failed"
    again = create(target, reprocess_behavior="failed")
    assert target.run(target.client().call(backfill_calls.get_backfill, again["id"])) == again
    listed = target.run(target.client().call(backfill_calls.list_backfills, {"limit": 5, "offset": 0}, DAG))
    assert [backfill["id"] for backfill in listed[0]] == [2, 1]
    assert set(own) - called == set()


def test_errors_are_described() -> None:
    target = DescribedBackfills()
    client = target.client()
    with pytest.raises(NotFoundError):
        target.run(client.call(backfill_calls.get_backfill, 7))
    with pytest.raises(NotFoundError):
        target.run(client.call(backfill_calls.create_backfill, "none", request().body("none")))
    backfill = target.run(client.call(backfill_calls.create_backfill, DAG, request().body("none")))
    with pytest.raises(ConflictError):
        target.run(client.call(backfill_calls.create_backfill, DAG, request().body("none")))
    target.run(client.call(backfill_calls.cancel_backfill, backfill["id"]))
    with pytest.raises(ConflictError):
        target.run(client.call(backfill_calls.cancel_backfill, backfill["id"]))


def test_airflow_2_gets_no_request_about_a_backfill() -> None:
    target = DescribedBackfills("v1")
    with pytest.raises(RequestNotPossible, match="Backfills need Airflow 3"):
        create(target)
    assert not [each for each in target.requests if "/api/v1/backfills" in each.url]
