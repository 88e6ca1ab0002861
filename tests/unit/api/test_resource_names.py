from __future__ import annotations

import pytest

from astro_provider.api.resource_names import resource_name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("variables/x", "variable 'x'"),
        ("pools/a%2Fb?x=1", "pool 'a/b'"),
        ("connections/c/", "connection 'c'"),
        ("dags/d", "dag 'd'"),
        ("dags/d/tasks", "dag 'd'"),
        ("dags/d/dagRuns/r", "dag run 'r' of dag 'd'"),
        ("dags/d/dagRuns/r/taskInstances/t/1", "task instance 't' of dag run 'r' of dag 'd'"),
        ("backfills/5/cancel", "backfill '5'"),
        ("variables", None),
        ("nowhere/x", None),
        ("assets/events", None),
        ("dags/~/dagRuns/list", None),
        ("monitor/health", None),
    ],
)
def test_resource_is_named_by_the_ids_in_the_path(path: str, name: str | None) -> None:
    assert resource_name(path) == name
