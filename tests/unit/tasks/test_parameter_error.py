"""The error for an invalid parameter of an operator."""

from __future__ import annotations

from astro_provider.airflow_versions import AirflowFailException
from astro_provider.api.errors import InvalidParameterError
from astro_provider.tasks.parameter_error import ParameterError


def test_invalid_parameter_is_a_value_error_that_fails_the_task_for_good() -> None:
    error = ParameterError("conf is wrong")
    assert isinstance(error, AirflowFailException)
    assert isinstance(error, InvalidParameterError)
    assert isinstance(error, ValueError)
    assert str(error) == "conf is wrong"
