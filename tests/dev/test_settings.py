"""Deployments get their own settings and keys, and none of the caller's."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev import settings
from dev.deployments import TARGET, TARGET_V1, TRIGGERING, Deployment

STANDARD = pytest.mark.parametrize("deployment", [TRIGGERING, TARGET, TARGET_V1], ids=lambda one: one.name)


@STANDARD
def test_settings_of_the_caller_do_not_reach_a_deployment(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW_CONN_X", "PYTHONPATH", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "the caller's")
    environ = settings.environ(
        deployment.airflow_version,
        tmp_path / "bin",
        tmp_path,
        "postgresql+psycopg2://",
        settings.Ports(1, 2, 3),
        settings.Keys(),
        {"AIRFLOW_CONN_Y": "ours"},
    )
    assert "the caller's" not in environ.values()
    assert environ["AIRFLOW_CONN_Y"] == "ours"
    assert environ["PATH"].startswith(f"{tmp_path}/bin:")


def test_two_deployments_have_different_keys() -> None:
    assert settings.Keys() != settings.Keys()


def test_coverage_is_measured_only_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def environ() -> dict[str, str]:
        return settings.environ("3.3.2", tmp_path, tmp_path, "", settings.Ports(1, 2, 3), settings.Keys(), {})

    monkeypatch.delenv("MEASURE_DEPLOYMENTS", raising=False)
    assert "COVERAGE_PROCESS_START" not in environ()
    monkeypatch.setenv("MEASURE_DEPLOYMENTS", "1")
    assert Path(environ()["COVERAGE_PROCESS_START"]).exists()
