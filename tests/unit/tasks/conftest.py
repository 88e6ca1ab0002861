from __future__ import annotations

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the triggering Deployment is."""
    section = "API" if AIRFLOW_VERSION >= (3, 0) else "WEBSERVER"
    monkeypatch.setenv(f"AIRFLOW__{section}__BASE_URL", "https://here.example.com")
