"""The error for an invalid parameter of an operator."""

from __future__ import annotations

from astro_provider.airflow_versions import AirflowFailException
from astro_provider.api.errors import InvalidParameterError


class ParameterError(AirflowFailException, InvalidParameterError):
    """
    A parameter of an operator has a value that cannot be used.

    It is a ``ValueError`` when the DAG file is parsed, and fails a running task for good: the operator of a mapped
    task is only created when the task runs, and a retry would find the same parameters.
    """
