"""A fake Airflow 3 that also has backfills, as ``FakeAirflow`` has dag runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.unit.fake_airflow import FakeAirflow, FakeAirflowServer
from tests.unit.scripted_target import ScriptedResponse, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.scripted_target import ReceivedRequest

FROM, TO = "2026-01-02T00:00:00+00:00", "2026-01-04T00:00:00+00:00"
"""Three dates of a daily schedule."""


class HasBackfills(FakeAirflow):
    """
    Adds backfills, of dags with a daily schedule.

    :ivar backfills: the backfills, in order of their creation
    :ivar states_by_date: the states of the run of a logical date that a backfill creates or clears, one for each
        request; other runs have ``new_run_states``
    :ivar completes: whether a backfill whose runs are over is completed
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.backfills: list[dict[str, Any]] = []
        self.states_by_date: dict[str, list[str]] = {}
        self.completes = True

    def has_backfill(self, **fields: Any) -> dict[str, Any]:
        """Store a backfill without runs."""
        backfill = {
            "id": len(self.backfills) + 1,
            "dag_id": "d",
            "from_date": FROM,
            "to_date": TO,
            "dag_run_conf": None,
            "is_paused": False,
            "reprocess_behavior": "none",
            "max_active_runs": 10,
            "created_at": self.now(),
            "completed_at": None,
            "updated_at": self.now(),
            "dag_display_name": fields.get("dag_id", "d"),
            **fields,
        }
        self.backfills.append(backfill)
        return backfill

    def created_bodies(self) -> list[dict[str, Any]]:
        """Return the bodies of all requests to create a backfill."""
        return [each.json for each in self.received if each.method == "POST" and each.path.endswith("/backfills")]

    def states(self, dag_id: str = "d") -> dict[str, str]:
        """Return the state of each run of a dag, by its logical date."""
        return {run["logical_date"][:10]: run["state"] for run in self._runs_of(dag_id)}

    def _create_backfill(self, received: ReceivedRequest) -> ScriptedResponse:
        body = received.json
        dag_id = body["dag_id"]
        if dag_id not in self.dags:
            return self._missing(f"Dag {dag_id!r}")
        if any(each["completed_at"] is None for each in self.backfills if each["dag_id"] == dag_id):
            return self._conflict(f"There is already a running backfill for dag {dag_id}")
        fields = {name: value for name, value in body.items() if name != "run_backwards"}
        backfill = self.has_backfill(**fields)
        date, last = datetime.fromisoformat(body["from_date"]), datetime.fromisoformat(body["to_date"])
        while date <= last:
            self._backfill_date(dag_id, date.isoformat(), body["reprocess_behavior"])
            date += timedelta(days=1)
        return json_response(backfill)

    def _backfill_date(self, dag_id: str, date: str, behavior: str) -> None:
        run_id = f"backfill__{date}"
        if (existing := self._runs.get((dag_id, run_id))) is not None:
            repeated = {"none": (), "failed": ("failed",), "completed": ("failed", "success")}[behavior]
            if existing["state"] not in repeated:
                return
            self._clear(dag_id, run_id, only_failed=False)
        else:
            self._new(dag_id, run_id, logical_date=date, run_after=date, run_type="backfill")
        self._next_states[dag_id, run_id] = list(self.states_by_date.get(date[:10], self.new_run_states))

    def _list_backfills(self, received: ReceivedRequest) -> ScriptedResponse:
        of_dag = [each for each in self.backfills if [each["dag_id"]] == received.query["dag_id"]]
        return self._page(received, "backfills", of_dag[::-1])

    def _backfill(self, received: ReceivedRequest, backfill_id: str) -> ScriptedResponse:
        for backfill in self.backfills:
            if str(backfill["id"]) == backfill_id:
                is_running = any(run["state"] in ("queued", "running") for run in self._runs_of(backfill["dag_id"]))
                if self.completes and not is_running:
                    backfill["completed_at"] = backfill["completed_at"] or self.now()
                return json_response(backfill)
        return self._missing("Backfill")

    def _cancel_backfill(self, received: ReceivedRequest, backfill_id: str) -> ScriptedResponse:
        backfill = next(each for each in self.backfills if str(each["id"]) == backfill_id)
        if backfill["completed_at"] is not None:
            return self._conflict("Backfill is already completed.")
        for run in self._runs_of(backfill["dag_id"]):
            if run["state"] == "queued":
                self.end_run(run["dag_run_id"], "failed", backfill["dag_id"])
        backfill.update(is_paused=True, completed_at=self.now())
        return json_response(backfill)

    def _list_runs(self, received: ReceivedRequest, dag_id: str) -> ScriptedResponse:
        if "run_type" not in received.query:
            return super()._list_runs(received, dag_id)
        since = received.query["updated_at_gte"][0]
        runs = [run for run in self._runs_of(dag_id) if run["run_type"] in received.query["run_type"]]
        runs = [run for run in runs if max(run["queued_at"], run["end_date"] or "") >= since]
        for run in runs:
            self._advance(dag_id, run["dag_run_id"])
        return self._page(received, "dag_runs", runs)

    _HANDLERS: dict[str, Callable[..., ScriptedResponse]] = {
        **FakeAirflow._HANDLERS,
        "POST backfills": _create_backfill,
        "GET backfills": _list_backfills,
        "GET backfills/([0-9]+)": _backfill,
        "PUT backfills/([0-9]+)/cancel": _cancel_backfill,
        "GET dags/([^/]+)/dagRuns": _list_runs,
    }


class FakeBackfillServer(HasBackfills, FakeAirflowServer):
    """A fake Airflow 3 with backfills behind an HTTP server."""
