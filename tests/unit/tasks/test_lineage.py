"""Whether OpenLineage is active, and the parent run that it adds to the conf of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.operators.trigger_operators import trigger_operator
from tests.unit.task_runner import TaskInstance, context

if TYPE_CHECKING:
    from tests.unit.fake_airflow import FakeAirflowServer

TRANSPORT = ("AIRFLOW__OPENLINEAGE__TRANSPORT", '{"type": "console"}')
CHECK = """
import json, sys
from astro_provider.tasks.lineage import openlineage_is_active, with_openlineage_parent
conf = with_openlineage_parent({"a": 1}, object())
print(json.dumps([openlineage_is_active(), conf, "airflow.providers.openlineage.plugins.listener" in sys.modules]))
"""


def check_in_new_process(*variables: tuple[str, str]) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        env={**os.environ, **dict(variables)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_listener_is_not_imported_unless_openlineage_is_active() -> None:
    assert check_in_new_process() == [False, {"a": 1}, False]


def test_openlineage_with_a_transport_is_active() -> None:
    pytest.importorskip("airflow.providers.openlineage")
    assert check_in_new_process(TRANSPORT)[0] is True


def test_parent_run_is_added_to_the_conf(
    active_openlineage: None, fake_airflow: FakeAirflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inject(dr_conf: dict[str, Any] | None, ti: Any) -> dict[str, Any]:
        return {**(dr_conf or {}), "openlineage": {"parentRunId": ti.run_id}}

    openlineage = pytest.importorskip("airflow.providers.standard.utils.openlineage")
    monkeypatch.setattr(openlineage, "safe_inject_openlineage_properties_into_dagrun_conf", inject)
    for option in (True, False):
        options = {"openlineage_inject_parent_info": option, "trigger_run_id": str(option), "logical_date": None}
        trigger_operator(conf={"a": 1}, **options).execute(context())
    parent = {"openlineage": {"parentRunId": TaskInstance().run_id}}
    assert [sent["conf"] for sent in fake_airflow.trigger_bodies()] == [{"a": 1, **parent}, {"a": 1}]


@pytest.mark.parametrize(
    "missing", ["airflow.providers.openlineage.conf", "airflow.providers.standard.utils.openlineage"]
)
def test_providers_are_optional(
    active_openlineage: None, fake_airflow: FakeAirflowServer, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)  # type: ignore[arg-type]
    trigger_operator(conf={"a": 1}).execute(context())
    assert fake_airflow.trigger_bodies()[-1]["conf"] == {"a": 1}
