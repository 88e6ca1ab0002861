"""The function that decides about a response: whether a triggerer can call it, and what its errors say."""

from __future__ import annotations

import functools
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.airflow_versions import AirflowSkipException
from astro_provider.api.errors import InvalidParameterError, ResponseCheckError
from astro_provider.tasks.response_check import (
    accepts,
    accepts_copy,
    check_function,
    function_path,
    load_function,
    shortened,
    worker_reason,
)
from tests.unit import checks
from tests.unit.task_runner import context

if TYPE_CHECKING:
    from collections.abc import Callable


def local_function(response: Any) -> Callable[[Any], bool]:
    return lambda _: bool(response)


def inner() -> Callable[[Any], bool]:
    def function(response: Any) -> bool:
        return True

    return function


@pytest.mark.parametrize("function", [checks.is_ready, checks.has_default, checks.original])
def test_function_of_a_module_can_be_called_in_a_triggerer(function: Callable[..., Any]) -> None:
    assert worker_reason(function, context()) is None
    assert load_function(function_path(function)) is function


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda response: True, "is no function of a module"),
        (inner(), "is no function of a module"),
        (checks.Checks().method, "is no function of a module"),
        (checks.Checks.method, "is no function of a module"),
        (functools.partial(checks.is_ready), "is no function of a module"),
        (bool, "is no function of a module"),
        (checks.needs_day, "needs ds of the context, which a triggerer does not have"),
        (checks.needs_anything, r"needs \*\*context.* of the context"),
    ],
)
def test_other_function_needs_a_worker(function: Callable[..., Any], reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(worker_reason(function, context()))


def test_function_of_a_dag_file_needs_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "unusual_prefix_0123abc_my_dag"
    module = ModuleType(name)
    exec("def check(response):\n    return True", vars(module))
    monkeypatch.setitem(sys.modules, name, module)  # as in the process of a task
    reason = worker_reason(module.check, context())
    assert reason is not None
    assert reason.startswith("is in a DAG file, which a triggerer does not import.")
    assert "include/checks.py" in reason


def test_function_that_its_name_does_not_lead_to_needs_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    function = checks.is_ready
    monkeypatch.setattr(checks, "is_ready", checks.has_default)
    assert "is not what its name 'tests.unit.checks:is_ready' leads to" in str(worker_reason(function, context()))
    monkeypatch.delattr(checks, "is_ready")
    assert "cannot be imported by its name" in str(worker_reason(function, context()))
    monkeypatch.setattr(function, "__module__", "nowhere")
    assert "cannot be imported by its name: No module named 'nowhere'" in str(worker_reason(function, context()))


def test_context_variables_are_passed_by_name() -> None:
    assert accepts(checks.needs_day, {"ready": "2026-02-01"}, context(), "GET x")
    assert not accepts(checks.needs_day, {"ready": "2026-02-02"}, context(), "GET x")
    assert accepts(checks.needs_anything, {"ready": 1}, context(), "GET x")


def test_error_of_the_function_names_it_and_the_request() -> None:
    with pytest.raises(
        ResponseCheckError, match=r"^response_check 'is_ready' failed for GET x: KeyError: 'ready'\. .*{}"
    ):
        accepts(checks.is_ready, {}, context(), "GET x")


def test_exception_of_airflow_keeps_its_meaning() -> None:
    with pytest.raises(AirflowSkipException):
        accepts(checks.skips, {"ready": 1}, context(), "GET x")


def test_function_in_a_triggerer_cannot_change_the_response_of_other_waits() -> None:
    response: Any = {"ready": 1}
    assert accepts_copy(checks.pops_ready, response, "GET x")
    assert accepts_copy(checks.pops_ready, response, "GET x")


def test_long_response_is_shortened() -> None:
    assert shortened({"a": 1}) == "{'a': 1}"
    assert len(shortened(["x"] * 1000)) == 201


def test_what_airflow_hides_in_logs_is_not_shown() -> None:
    assert (
        shortened({"pools": [{"password": "s3cr3t-value", "slots": 1}]})
        == "{'pools': [{'password': '***', 'slots': 1}]}"
    )


@pytest.mark.parametrize("function", [checks.is_ready_later, lambda response: (yield response), None, "is_ready"])
def test_function_whose_result_is_always_true_is_refused(function: Any) -> None:
    with pytest.raises(InvalidParameterError, match="response_check must be"):
        check_function("response_check", function)
    check_function("response_check", checks.is_ready)
    check_function("response_check", functools.partial(checks.is_ready))
