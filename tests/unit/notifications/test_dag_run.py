"""The notifier, as Airflow calls it."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION, BaseNotifier
from astro_provider.notifications.dag_run import AstroTriggerDagRunNotifier
from tests.airflow_names import DAG
from tests.unit.task_runner import TaskInstance, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer
    from tests.unit.task_runner import FakeClock


def call(notifier: AstroTriggerDagRunNotifier, *, ti: TaskInstance | None = None, **more: Any) -> dict[str, Any]:
    """Call a notifier as Airflow does; return the context that it was called with."""
    with DAG("local", start_date=datetime(2026, 1, 1), schedule=None) as dag:
        pass
    called = context(ti or TaskInstance(), dag=dag, exception=ValueError("no rows"), **more)
    notifier(called)
    return called


def confs(target: FakeAirflowServer) -> list[Any]:
    return [run["conf"] for run in target.runs.values()]


@pytest.fixture(autouse=True)
def _dags(any_airflow: FakeAirflowServer) -> None:
    any_airflow.dags = {"page": False}


def test_callback_triggers_a_run_with_the_facts(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    notifier = AstroTriggerDagRunNotifier("page", conf={"of": "{{ ti.task_id }}"})
    assert isinstance(notifier, BaseNotifier)
    call(notifier)
    (conf,) = confs(any_airflow)
    assert (conf["of"], conf["triggered_by"]["task_id"], conf["triggered_by"]["exception"]) == (
        "trigger",
        "trigger",
        "ValueError: no rows",
    )
    assert any(line.startswith("Triggered: dag 'page' in Deployment") for line in log_lines)
    (line,) = [each for each in log_lines if "/dags/page/" in each]
    assert ("/dags/page/runs/" if any_airflow.api_version == "v2" else "/dags/page/grid?dag_run_id=") in line


def test_notifier_can_be_called_for_several_tasks(any_airflow: FakeAirflowServer, clock: FakeClock) -> None:
    notifier = AstroTriggerDagRunNotifier("page", conf={"of": "{{ ti.task_id }}"})
    for name in ("one", "two", "two"):
        clock.shift(1)
        call(notifier, ti=TaskInstance(task_id=name))
    assert [conf["of"] for conf in confs(any_airflow)] == ["one", "two"]


def test_context_is_left_for_other_callbacks(any_airflow: FakeAirflowServer) -> None:
    assert call(AstroTriggerDagRunNotifier("page", conf={"a": 1}), conf="of Airflow")["conf"] == "of Airflow"


def test_fields_are_rendered(any_airflow: FakeAirflowServer) -> None:
    call(
        AstroTriggerDagRunNotifier(
            "{{ 'pa' + 'ge' }}", "http_{{ 'conn' }}", '{"d": "{{ ds }}"}', trigger_run_id="id-{{ ds }}", note="{{ ds }}"
        )
    )
    (run,) = any_airflow.runs.values()
    assert (run["dag_run_id"], run["conf"]["d"], run["note"]) == ("id-2026-02-01", "2026-02-01", "2026-02-01")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trigger_dag_id": "nowhere"}, "has no dag 'nowhere'"),
        ({"http_conn_id": "elsewhere"}, "'elsewhere'"),
        ({"conf": "{{ ds }}"}, "conf must be a dict"),
        ({"trigger_dag_id": ""}, "trigger_dag_id was rendered to ''"),
        ({"conf": {"day": "{{ no_such_variable.day }}"}}, "'no_such_variable' is undefined"),
    ],
)
def test_error_is_logged_and_not_raised(
    any_airflow: FakeAirflowServer, options: dict[str, Any], message: str, log_lines: list[str]
) -> None:
    call(AstroTriggerDagRunNotifier(**{"trigger_dag_id": "page", **options}))
    (line,) = [line for line in log_lines if line.startswith("Not triggered: dag ")]
    assert message in line
    assert confs(any_airflow) == []


def test_bug_is_logged_and_not_raised(
    any_airflow: FakeAirflowServer, log_lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astro_provider.tasks.callback_run.CallbackRun.trigger", lambda *_: {}["defect"])
    call(AstroTriggerDagRunNotifier("page"))
    assert any("Not triggered: dag 'page': 'defect'" in line for line in log_lines)


def test_invalid_conf_is_refused_at_parse_time() -> None:
    with pytest.raises(ValueError, match="conf must be a dict"):
        AstroTriggerDagRunNotifier("page", conf=[1])  # type: ignore[arg-type]


async def test_deadline_triggers_a_run(any_airflow: FakeAirflowServer) -> None:
    run = {"dag_id": "local", "dag_run_id": "late", "logical_date": None}
    notifier = AstroTriggerDagRunNotifier("page")
    await notifier.async_notify({"dag_run": run, "deadline": {"id": 1}})  # type: ignore[arg-type]
    (conf,) = confs(any_airflow)
    assert (conf["triggered_by"]["dag_id"], conf["triggered_by"]["run_id"]) == ("local", "late")


async def test_error_of_a_deadline_is_logged(any_airflow: FakeAirflowServer, log_lines: list[str]) -> None:
    await AstroTriggerDagRunNotifier("nowhere").async_notify({"dag_run": {}})  # type: ignore[typeddict-item]
    assert any(line.startswith("Not triggered: dag 'nowhere': ") for line in log_lines)


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 1), reason="Airflow has no deadlines")
async def test_notifier_can_be_awaited(any_airflow: FakeAirflowServer) -> None:
    await AstroTriggerDagRunNotifier("page", context={"dag_run": {"dag_id": "local", "dag_run_id": "late"}})
    assert len(confs(any_airflow)) == 1


def test_callback_of_a_dag_names_no_task(any_airflow: FakeAirflowServer) -> None:
    run = SimpleNamespace(dag_id="local", run_id="r1", logical_date=None, clear_number=0, state="failed")
    call(AstroTriggerDagRunNotifier("page"), dag_run=run, reason="task_failure")
    (conf,) = confs(any_airflow)
    assert (conf["triggered_by"]["task_id"], conf["triggered_by"]["reason"]) == (None, "task_failure")
