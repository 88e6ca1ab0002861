"""Reading and checking what a task wants to clear."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from astro_provider.api.errors import InvalidParameterError
from astro_provider.tasks.clear_request import check_clear_request
from tests.unit.tasks.clear_requests import clear_fields, clear_request


@pytest.mark.parametrize(
    ("fields", "run_id", "date"),
    [
        ({"external_run_id": "r"}, "r", None),
        ({"external_run_id": 20260201}, "20260201", None),
        ({"logical_date": datetime(2026, 2, 1)}, None, "2026-02-01T00:00:00+00:00"),
        ({"logical_date": "2026-02-01"}, None, "2026-02-01T00:00:00+00:00"),
        ({"latest": True}, None, None),
    ],
)
def test_run_is_named_in_one_of_three_ways(fields: dict[str, Any], run_id: str | None, date: str | None) -> None:
    check_clear_request(clear_fields(**fields))
    request = clear_request(**fields)
    assert (request.run_id, request.logical_date) == (run_id, date)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "external_run_id, logical_date and latest=True: none of them was given"),
        ({"external_run_id": "r", "latest": True}, "not external_run_id and latest"),
        ({"external_run_id": "{{ a }}", "logical_date": "{{ b }}"}, "not external_run_id and logical_date"),
        ({"logical_date": "yesterday"}, "logical_date: 'yesterday' is no ISO 8601 date"),
        ({"latest": True, "include_downstream": True}, "include_downstream needs task_ids"),
        ({"latest": True, "task_ids": []}, "task_ids must be a list of task ids"),
        ({"latest": True, "task_ids": "extract"}, "task_ids must be a list of task ids, not 'extract'"),
        ({"latest": True, "task_ids": ["a", None]}, "task_ids was rendered to None"),
        ({"latest": True, "only_failed": "maybe"}, "only_failed must be true or false"),
    ],
)
def test_invalid_parameter_is_an_error_when_the_dag_is_parsed(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        check_clear_request(clear_fields(**fields))


def test_templates_are_not_checked_when_the_dag_is_parsed() -> None:
    check_clear_request(
        clear_fields(external_run_id="{{ r }}", task_ids="{{ t }}", only_failed="{{ f }}", include_downstream="{{ d }}")
    )


@pytest.mark.parametrize(
    ("rendered", "ids"),
    [
        (["a", "b"], ("a", "b")),
        (("a",), ("a",)),
        ("['a', 'b']", ("a", "b")),
        ('["a"]', ("a",)),
        ([7], ("7",)),
        (None, ()),
        pytest.param(iter(["a"]), ("a",), id="an iterator"),
    ],
    ids=str,
)
def test_task_ids_are_a_list_or_text_that_a_template_rendered_a_list_to(rendered: Any, ids: tuple[str, ...]) -> None:
    assert clear_request(external_run_id="r", task_ids=rendered).task_ids == ids


@pytest.mark.parametrize("rendered", ["None", "", [], "[]", "extract", 7])
def test_task_ids_that_are_rendered_to_nothing_do_not_mean_the_whole_run(rendered: Any) -> None:
    with pytest.raises(InvalidParameterError, match="task_ids must be a list of task ids"):
        clear_request(external_run_id="r", task_ids=rendered)


@pytest.mark.parametrize("nothing", ["", "None"])
@pytest.mark.parametrize("field", ["external_run_id", "logical_date"])
def test_run_that_is_rendered_to_nothing_is_an_error(field: str, nothing: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"{field} was rendered to"):
        clear_request(**{field: nothing})
