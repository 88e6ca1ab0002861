"""The error of a wrong parameter."""

from __future__ import annotations

from astro_provider.airflow_versions import AirflowFailException


class ParameterError(AirflowFailException, ValueError):
    """
    A parameter of an operator is wrong: a ``ValueError`` where a DAG is parsed, a final failure where a task runs.

    The parameters of a mapped task are only known, and checked, when it runs; a retry would find the same ones.
    """
