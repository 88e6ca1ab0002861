"""The parameters of the trigger operator: checked at parse time, rendered, mapped and serialized."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowFailException
from astro_provider.operators.dag import AstroPauseDagOperator
from astro_provider.operators.dag_run import AstroTriggerDagRunOperator
from tests.airflow_names import DAG
from tests.unit.operators.trigger_operators import trigger_operator
from tests.unit.task_runner import TaskInstance, context, round_trip

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.fake_airflow import FakeAirflowServer


@pytest.fixture
def dag() -> DAG:
    return DAG("local", start_date=datetime(2026, 1, 1), schedule=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conf": "not json"}, "conf must be a dict that JSON can hold, or JSON text"),
        ({"conf": "[1]"}, "conf must be a dict or the JSON text of one, not of a list"),
        ({"conf": 5}, "conf must be a dict or the JSON text of one, not of a int"),
        ({"conf": {"when": datetime(2026, 1, 1)}}, "conf must be .*datetime is not JSON"),
        ({"conf": {"share": float("nan")}}, "conf must be"),
        ({"logical_date": "yesterday"}, "logical_date: 'yesterday' is no ISO 8601 date"),
        ({"run_after": "yesterday"}, "run_after: 'yesterday' is no ISO 8601 date"),
        ({"allowed_states": ["sucess"]}, "allowed_states has unknown state 'sucess'; choices: queued, running, succ"),
        ({"failed_states": ["upstream_failed"]}, "failed_states has unknown state 'upstream_failed'; choices: queued"),
        ({"allowed_states": "success"}, "allowed_states must be a list of states, not the text 'success'"),
        ({"allowed_states": ["failed"], "failed_states": ["failed"]}, "allowed_states and failed_states both have fai"),
        *(
            (
                {"poke_interval": wrong},
                f"poke_interval must be a number of seconds, 0 or more and finite, not {wrong!r}",
            )
            for wrong in (-1, "5", True, float("nan"), float("inf"))
        ),
        (
            {"on_existing_run": "ignore"},
            "on_existing_run must be one of fail, attach, reset, resume, skip, not 'ignore'",
        ),
        ({"if_paused": "resume"}, "if_paused must be one of trigger, unpause, fail, not 'resume'"),
        ({"wait_for_completion": "maybe"}, "wait_for_completion must be true or false, not 'maybe'"),
        ({"wait_for_completion": None}, "wait_for_completion must be true or false, not None"),
        ({"result_task_id": "t"}, "result_task_id needs wait_for_completion=True"),
        ({"result_task_id": "{{ ds }}"}, "result_task_id needs wait_for_completion=True"),
        ({"result_task_id": [], "wait_for_completion": True}, "result_task_id has no task id"),
        ({"result_key": ""}, "result_key was rendered to ''"),
    ],
)
def test_invalid_parameter_is_refused_at_parse_time(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trigger_operator(**options)


def test_failed_is_not_a_default_failed_state_if_it_is_allowed() -> None:
    assert trigger_operator(allowed_states=["success", "failed"]).failed_states == []
    assert trigger_operator(allowed_states=["running"]).failed_states == ["failed"]


def test_deferrable_defaults_to_the_airflow_configuration() -> None:
    assert trigger_operator().deferrable is False


TEMPLATED = {
    "trigger_dag_id": "{{ ds }}",
    "http_conn_id": "conn_{{ ds }}",
    "trigger_run_id": "run_{{ ds }}",
    "logical_date": "{{ logical_date.isoformat() }}",
    "data_interval_start": "{{ ds }}T00:00:00Z",
    "data_interval_end": "{{ ds }}T01:00:00Z",
    "run_after": "{{ ds }}T02:00:00Z",
    "conf": '{"day": "{{ ds }}"}',
    "note": "of {{ ds }}",
    "partition_key": "{{ ds }}",
    "wait_for_completion": "{{ ds }}",
    "on_existing_run": "{{ ds }}",
    "on_active_run": "{{ ds }}",
    "if_paused": "{{ ds }}",
    "result_task_id": "task_{{ ds }}",
    "result_key": "key_{{ ds }}",
}


def test_templates_are_rendered(dag: DAG) -> None:
    operator = trigger_operator(dag=dag, **TEMPLATED)
    operator.render_template_fields(context())
    rendered = {name: getattr(operator, name) for name in TEMPLATED}
    assert rendered == {
        name: template.replace("{{ ds }}", "2026-02-01").replace(
            "{{ logical_date.isoformat() }}", "2026-02-01T06:00:00+00:00"
        )
        for name, template in TEMPLATED.items()
    }


def test_all_parameters_of_the_run_are_templated() -> None:
    assert set(AstroTriggerDagRunOperator.template_fields) == set(TEMPLATED)


@pytest.mark.parametrize(
    ("text", "waits"),
    [("true", True), ("True", True), ("1", True), ("yes", True), ("false", False), (" False ", False), ("0", False)],
)
@pytest.mark.parametrize("native", [True, False])
def test_wait_for_completion_can_be_templated(
    fake_airflow: FakeAirflowServer, text: str, waits: bool, native: bool
) -> None:
    dag = DAG("local", start_date=datetime(2026, 1, 1), schedule=None, render_template_as_native_obj=native)
    operator = trigger_operator(dag=dag, wait_for_completion=f"{{{{ '{text}' }}}}")
    render(operator)
    assert operator.execute(context())["state"] == ("success" if waits else "queued")


def render(operator: AstroTriggerDagRunOperator) -> None:
    """Render as Airflow does, with the Jinja environment of the DAG."""
    operator.render_template_fields(context(), operator.get_template_env())


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("wait_for_completion", "wait_for_completion must be true or false, not '2026-02-01'"),
        ("on_existing_run", "on_existing_run must be one of fail, attach, reset, resume, skip, not '2026-02-01'"),
        ("if_paused", "if_paused must be one of trigger, unpause, fail, not '2026-02-01'"),
        ("conf", "conf must be a dict that JSON can hold, or JSON text: .* in 2026-02-01"),
    ],
)
def test_parameter_that_is_rendered_to_an_invalid_value_fails_for_good(
    fake_airflow: FakeAirflowServer, dag: DAG, parameter: str, message: str
) -> None:
    operator = trigger_operator(dag=dag, **{parameter: "{{ ds }}"})
    render(operator)
    with pytest.raises(AirflowFailException, match=message):
        operator.execute(context())
    assert fake_airflow.calls_received == []


def test_choices_can_be_templated(fake_airflow: FakeAirflowServer, dag: DAG) -> None:
    fake_airflow.has_run("mine", "success")
    fake_airflow.dags["d"] = True
    operator = trigger_operator(
        dag=dag, trigger_run_id="mine", on_existing_run="{{ 'attach' }}", if_paused="{{ 'unpause' }}"
    )
    render(operator)
    assert operator.execute(context())["dag_run_id"] == "mine"
    assert fake_airflow.dags["d"] is False


def test_rendered_numbers_are_read_as_text(fake_airflow: FakeAirflowServer, connect: Callable[..., None]) -> None:
    connect(fake_airflow.url, password="token", conn_id="7")
    fake_airflow.dags["20260201"] = False
    dag = DAG("local", start_date=datetime(2026, 1, 1), schedule=None, render_template_as_native_obj=True)
    operator = trigger_operator(
        dag=dag,
        trigger_dag_id="{{ 20260201 }}",
        http_conn_id="{{ 7 }}",
        trigger_run_id="{{ 42 }}",
        note="{{ 1.5 }}",
        partition_key="{{ 2026 }}",
        logical_date="{{ none }}",
    )
    render(operator)
    run = operator.execute(context())
    assert (run["dag_id"], run["dag_run_id"]) == ("20260201", "42")
    assert fake_airflow.trigger_bodies() == [
        {"logical_date": None, "dag_run_id": "42", "note": "1.5", "partition_key": "2026"}
    ]


@pytest.mark.parametrize("nothing", ["None", ""])
def test_partition_key_and_note_that_render_to_nothing_are_left_out(
    fake_airflow: FakeAirflowServer, nothing: str
) -> None:
    trigger_operator(partition_key=nothing, note=nothing).execute(context())
    assert "partition_key" not in fake_airflow.trigger_bodies()[0]
    assert "note" not in fake_airflow.trigger_bodies()[0]


@pytest.mark.parametrize("nothing", ["None", "''"])
@pytest.mark.parametrize("parameter", ["trigger_dag_id", "http_conn_id"])
def test_id_that_renders_to_nothing_fails_for_good(
    fake_airflow: FakeAirflowServer, parameter: str, nothing: str
) -> None:
    dag = DAG("local", start_date=datetime(2026, 1, 1), schedule=None, render_template_as_native_obj=True)
    operator = trigger_operator(dag=dag, **{parameter: f"{{{{ {nothing} }}}}"})
    render(operator)
    with pytest.raises(AirflowFailException, match=f"{parameter} was rendered to .*: it names nothing"):
        operator.execute(context())


def test_missing_logical_date_is_rendered_to_none(dag: DAG) -> None:
    operator = trigger_operator(dag=dag, logical_date="{{ logical_date }}")
    operator.render_template_fields(context(logical_date=None))
    assert operator.logical_date == "None"


def test_conf_can_have_templates_and_results_of_other_tasks(dag: DAG) -> None:
    with dag:
        before = AstroPauseDagOperator(task_id="before", external_dag_id="d")
        operator = trigger_operator(conf={"day": ["{{ ds }}"], "rows": before.output})
        whole = trigger_operator(task_id="whole", conf=before.output)
    assert operator.upstream_task_ids == {"before"}
    assert whole.upstream_task_ids == {"before"}
    with_ti = context(TaskInstance())
    operator.render_template_fields(with_ti)
    assert operator.conf == {"day": ["2026-02-01"], "rows": "XCom of before"}
    whole.render_template_fields(with_ti)
    assert whole.conf == "XCom of before"


@pytest.mark.parametrize("text", ['{"day": "{{ ds }}"}', "{% if ds %}{}{% endif %}"])
def test_template_is_not_checked_at_parse_time(text: str) -> None:
    assert trigger_operator(conf=text).conf == text


def test_operator_can_be_mapped(dag: DAG) -> None:
    with dag:
        mapped = AstroTriggerDagRunOperator.partial(
            task_id="trigger", trigger_dag_id="d", wait_for_completion=True, poke_interval=1
        ).expand(conf=[{"n": 1}, {"n": 2}])
    operator = mapped.unmap({"conf": {"n": 2}})
    assert isinstance(operator, AstroTriggerDagRunOperator)
    assert (operator.trigger_dag_id, operator.wait_for_completion, operator.poke_interval) == ("d", True, 1)
    assert operator.conf == {"n": 2}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("conf", "[1, 2]", r"conf must be a dict or the JSON text of one, not of a list: \[1, 2\]"),
        ("conf", {"when": datetime(2026, 1, 1)}, r"datetime is not JSON, in {'when': datetime"),
        ("on_existing_run", "ignore", "on_existing_run must be one of"),
        ("allowed_states", ["sucess"], "unknown state 'sucess'"),
    ],
)
def test_invalid_parameter_of_a_mapped_task_fails_for_good(dag: DAG, field: str, value: Any, message: str) -> None:
    """The operator of a mapped task is created, and its parameters are checked, when the task runs."""
    with dag:
        mapped = AstroTriggerDagRunOperator.partial(task_id="trigger", trigger_dag_id="d").expand(**{field: [value]})
    with pytest.raises(AirflowFailException, match=message):
        mapped.unmap({field: value})


def test_error_shows_the_beginning_of_a_long_conf() -> None:
    with pytest.raises(ValueError, match="conf must be") as caught:
        trigger_operator(conf={"numbers": list(range(1000)), "when": datetime(2026, 1, 1)})
    assert "in {'numbers': [0, 1, 2" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_dag_can_be_serialized(dag: DAG) -> None:
    with dag:
        trigger_operator(conf={"day": "{{ ds }}"}, wait_for_completion=True)
        AstroTriggerDagRunOperator.partial(task_id="mapped", trigger_dag_id="d").expand(conf=[{"n": 1}])
    tasks = round_trip(dag).task_dict
    assert set(tasks) == {"trigger", "mapped"}
    assert tasks["trigger"].conf == {"day": "{{ ds }}"}
    assert [link.name for link in tasks["trigger"].operator_extra_links] == ["Remote dag run"]
