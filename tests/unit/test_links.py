"""The extra link to the run in the target."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from astro_provider.airflow_versions import XCom
from astro_provider.links import XCOM_URL, RemoteDagRunLink
from astro_provider.operators.dag_run import AstroTriggerDagRunOperator
from astro_provider.sensors.dag_run import AstroDagRunSensor
from astro_provider.sensors.task import AstroTaskSensor

KEY: Any = SimpleNamespace(dag_id="d", task_id="t", run_id="r", try_number=1, map_index=-1)


def test_airflow_3_reads_the_xcom() -> None:
    assert RemoteDagRunLink().xcom_key == XCOM_URL == "remote_dag_run_url"


@pytest.mark.parametrize(
    ("pushed", "url"), [("https://target.example.com/r", "https://target.example.com/r"), (None, "")]
)
def test_airflow_2_gets_the_link_from_the_xcom(monkeypatch: pytest.MonkeyPatch, pushed: str | None, url: str) -> None:
    calls_received: list[Any] = []

    def get_value(*, ti_key: Any, key: str) -> str | None:
        calls_received.append((ti_key, key))
        return pushed

    monkeypatch.setattr(XCom, "get_value", get_value, raising=False)
    operator = AstroTriggerDagRunOperator(task_id="t", trigger_dag_id="d")
    assert RemoteDagRunLink().get_link(operator, ti_key=KEY) == url
    assert calls_received == [(KEY, "remote_dag_run_url")]


@pytest.mark.parametrize("kind", [AstroTriggerDagRunOperator, AstroDagRunSensor, AstroTaskSensor])
def test_extra_link_belongs_to_the_trigger_operator(kind: Any) -> None:
    assert [type(link) for link in kind.operator_extra_links] == [RemoteDagRunLink]
    assert kind.operator_extra_links[0].name == "Remote dag run"
