from __future__ import annotations

import pytest

from astro_provider.airflow_versions import BASE_URL_SECTION


@pytest.fixture(autouse=True)
def _base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the URL of the triggering Deployment."""
    monkeypatch.setenv(f"AIRFLOW__{BASE_URL_SECTION.upper()}__BASE_URL", "https://here.example.com")
