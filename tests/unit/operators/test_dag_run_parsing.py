"""What a DAG file says of a trigger: refused at parse time where it is wrong, rendered where it is a template."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from astro_provider.operators.dag import AstroPauseDagOperator
from astro_provider.operators.dag_run import AstroTriggerDagRunOperator
from tests.airflow_names import DAG
from tests.unit.operators.trigger import trigger
from tests.unit.tasks import TaskInstance, context, round_trip


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
        ({"on_existing_run": "ignore"}, "on_existing_run must be one of fail, attach, reset, skip, not 'ignore'"),
        ({"if_paused": "resume"}, "if_paused must be one of trigger, unpause, fail, not 'resume'"),
    ],
)
def test_what_is_wrong_is_refused_at_parse_time(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trigger(**options)


def test_a_failure_that_is_allowed_does_not_fail_by_default() -> None:
    assert trigger(allowed_states=["success", "failed"]).failed_states == []
    assert trigger(allowed_states=["running"]).failed_states == ["failed"]


def test_deferring_is_the_default_that_airflow_was_told() -> None:
    assert trigger().deferrable is False


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
}


def test_templates_are_rendered(dag: DAG) -> None:
    operator = trigger(dag=dag, **TEMPLATED)
    operator.render_template_fields(context())
    rendered = {name: getattr(operator, name) for name in TEMPLATED}
    assert rendered == {
        name: template.replace("{{ ds }}", "2026-02-01").replace(
            "{{ logical_date.isoformat() }}", "2026-02-01T06:00:00+00:00"
        )
        for name, template in TEMPLATED.items()
    }


def test_everything_an_author_would_template_is_templated() -> None:
    assert set(AstroTriggerDagRunOperator.template_fields) == set(TEMPLATED)


def test_no_logical_date_may_come_of_a_template(dag: DAG) -> None:
    operator = trigger(dag=dag, logical_date="{{ logical_date }}")
    operator.render_template_fields(context(logical_date=None))
    assert operator.logical_date == "None"


def test_conf_may_hold_templates_and_results_of_other_tasks(dag: DAG) -> None:
    with dag:
        before = AstroPauseDagOperator(task_id="before", external_dag_id="d")
        operator = trigger(conf={"day": ["{{ ds }}"], "rows": before.output})
        whole = trigger(task_id="whole", conf=before.output)
    assert operator.upstream_task_ids == {"before"}
    assert whole.upstream_task_ids == {"before"}
    with_ti = context(TaskInstance())
    operator.render_template_fields(with_ti)
    assert operator.conf == {"day": ["2026-02-01"], "rows": "XCom of before"}
    whole.render_template_fields(with_ti)
    assert whole.conf == "XCom of before"


@pytest.mark.parametrize("text", ['{"day": "{{ ds }}"}', "{% if ds %}{}{% endif %}"])
def test_a_template_is_not_judged_before_it_is_rendered(text: str) -> None:
    assert trigger(conf=text).conf == text


def test_it_can_be_mapped(dag: DAG) -> None:
    with dag:
        mapped = AstroTriggerDagRunOperator.partial(
            task_id="trigger", trigger_dag_id="d", wait_for_completion=True, poke_interval=1
        ).expand(conf=[{"n": 1}, {"n": 2}])
    operator = mapped.unmap({"conf": {"n": 2}})
    assert isinstance(operator, AstroTriggerDagRunOperator)
    assert (operator.trigger_dag_id, operator.wait_for_completion, operator.poke_interval) == ("d", True, 1)
    assert operator.conf == {"n": 2}


def test_a_dag_with_it_is_serialised(dag: DAG) -> None:
    with dag:
        trigger(conf={"day": "{{ ds }}"}, wait_for_completion=True)
        AstroTriggerDagRunOperator.partial(task_id="mapped", trigger_dag_id="d").expand(conf=[{"n": 1}])
    tasks = round_trip(dag).task_dict
    assert set(tasks) == {"trigger", "mapped"}
    assert tasks["trigger"].conf == {"day": "{{ ds }}"}
    assert [link.name for link in tasks["trigger"].operator_extra_links] == ["Remote dag run"]
