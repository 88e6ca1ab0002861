"""The exception that skips a task whose log has the reason."""

from __future__ import annotations

from astro_provider.airflow_versions import AirflowSkipException
from astro_provider.tasks.logged_skip import LoggedSkip


def test_skip_tells_its_reason_to_callbacks_but_not_to_the_log_of_airflow() -> None:
    skip = LoggedSkip("Skipped: dag 'd'")
    assert isinstance(skip, AirflowSkipException)
    assert str(skip) == "Skipped: dag 'd'"
    assert skip.args == ()
