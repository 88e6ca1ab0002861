"""The parameters that say which XComs are the result of a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from astro_provider.api.errors import InvalidParameterError
from astro_provider.api.results import ResultRequest
from astro_provider.tasks.rendered_result import check_result, rendered_result


class Mapped(Sequence[str]):
    """A sequence that is no list, as the XComs of a mapped task."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: Any) -> Any:
        return ["a", "b"][index]


@pytest.mark.parametrize(
    ("task_id", "read"), [("t", "t"), (7, "7"), (["t"], ["t"]), (("t", 7), ["t", "7"]), (Mapped(), ["a", "b"])]
)
def test_rendered_ids_are_read(task_id: Any, read: Any) -> None:
    assert rendered_result(task_id, "k") == ResultRequest(read, "k")
    assert rendered_result(None, "k") is None


@pytest.mark.parametrize("task_id", ["", "None", [], ["t", ""], ["t", None], {}])
def test_ids_that_name_nothing_are_refused(task_id: Any) -> None:
    with pytest.raises(InvalidParameterError, match="result_task_id"):
        rendered_result(task_id, "return_value")


@pytest.mark.parametrize("task_id", ["", [], ["t", ""]])
def test_ids_that_name_nothing_are_refused_at_parse_time(task_id: Any) -> None:
    with pytest.raises(InvalidParameterError, match="result_task_id"):
        check_result(task_id, "return_value")


@pytest.mark.parametrize("task_id", [None, "t", "{{ x }}", ["t", "{{ x }}"]])
def test_templates_are_not_checked(task_id: Any) -> None:
    check_result(task_id, "{{ key }}")


@pytest.mark.parametrize("key", ["", None])
def test_empty_key_is_refused(key: Any) -> None:
    with pytest.raises(InvalidParameterError, match="result_key"):
        check_result("t", key)
    with pytest.raises(InvalidParameterError, match="result_key"):
        rendered_result("t", key)
