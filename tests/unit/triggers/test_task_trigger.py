"""What triggers share that do all the work of a task. The tests of these triggers have the cases of each one."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from astro_provider.api.errors import InvalidParameterError
from astro_provider.triggers.events import EventOutcome
from tests.unit.task_runner import TaskInstance, context
from tests.unit.triggers.factory import run_trigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.triggers.base import TriggerEvent

    from astro_provider.triggers.events import EventPayload

if AIRFLOW_VERSION < (3, 3):
    pytest.skip("Airflow 3.3 and later", allow_module_level=True)

from astro_provider.triggers.task_trigger import TaskTrigger

pytestmark = pytest.mark.usefixtures("_log_is_flushed_at_once")

ENDS = {"success": "success", "skipped": "skipped", "failed": "failed"}


@dataclass(kw_only=True, eq=False, repr=False)
class WorkTrigger(TaskTrigger):
    """A trigger whose work is a function."""

    work: Callable[[], EventPayload]

    async def _work(self) -> EventPayload:
        return self.work()

    async def _store_xcoms(self, payload: EventPayload, event: TriggerEvent) -> TriggerEvent:
        return event

    @property
    def _subject(self) -> str:
        return "dag 'd'"

    def _message(self, payload: EventPayload, end: str) -> str:
        return f"{end}: {payload['message']}"


def work_trigger(work: Callable[[], Any], *, try_number: int = 1, rendered: bool = True) -> WorkTrigger:
    trigger = WorkTrigger(http_conn_id="http_conn", poke_interval=0.1, ends=ENDS, work=work)
    trigger.task_instance = SimpleNamespace(**vars(TaskInstance(try_number=try_number)))  # type: ignore[assignment]
    if rendered:
        trigger.render_template_fields(context())  # type: ignore[arg-type]
    return trigger


def payload(outcome: str) -> dict[str, Any]:
    return {"outcome": outcome, "message": "what happened", "run": None, "url": None, "error": None}


@pytest.mark.parametrize("outcome", [outcome.value for outcome in EventOutcome])
async def test_outcome_ends_the_task_or_resumes_it_on_a_worker(outcome: str, log_lines: list[str]) -> None:
    ended_in, sent = await run_trigger(work_trigger(lambda: payload(outcome)))
    if outcome in ENDS:
        assert (ended_in, sent, log_lines[-1]) == (outcome, None, f"{outcome}: what happened")
    else:
        assert (ended_in, sent) == ("worker", payload(outcome))


async def test_later_try_ends_on_a_worker() -> None:
    assert await run_trigger(work_trigger(lambda: payload("success"), try_number=2)) == ("worker", payload("success"))


async def test_invalid_parameter_is_reported_on_a_worker(log_lines: list[str]) -> None:
    def work() -> None:
        raise InvalidParameterError("conf is wrong")

    ended_in, sent = await run_trigger(work_trigger(work))
    assert (ended_in, sent and sent["outcome"], sent and sent["message"]) == ("worker", "restart", "conf is wrong.")
    assert log_lines[-1] == "conf is wrong. The task starts again on a worker."


async def test_task_of_a_changed_dag_starts_on_a_worker() -> None:
    ended_in, sent = await run_trigger(work_trigger(lambda: payload("success"), rendered=False))
    assert (ended_in, sent and sent["message"]) == ("worker", "The DAG was changed meanwhile.")


def test_poke_interval_has_a_minimum() -> None:
    assert work_trigger(lambda: payload("success")).poke_interval == 0.5
