"""The parameters that say which XComs of the remote run are the result of a task."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from astro_provider.api.errors import InvalidParameterError
from astro_provider.tasks.rendered import is_template, rendered_id

if TYPE_CHECKING:
    from astro_provider.api.results import ResultRequest

RESULT_FIELDS = ("result_task_id", "result_key")
"""The fields that :func:`rendered_result` reads, all of them templates."""

RETURN_VALUE = "return_value"
"""The key of the XCom that a task returns."""


def check_result(task_id: object, key: object) -> None:
    """
    Check the fields when the DAG is parsed, as far as they are no templates.

    :param task_id: ``result_task_id``
    :param key: ``result_key``
    :raise InvalidParameterError: a field has a value that cannot be used
    """
    if not is_template(key):
        rendered_id("result_key", key)
    if task_id is None or is_template(task_id):
        return
    if not isinstance(task_id, (list, tuple, set)):
        rendered_id("result_task_id", task_id)
        return
    if not task_id:
        raise InvalidParameterError("result_task_id has no task id")
    for each in task_id:
        if not is_template(each):
            rendered_id("result_task_id", each)


def rendered_result(task_id: object, key: object) -> ResultRequest | None:
    """
    Read which XComs are the result.

    :param task_id: what ``result_task_id`` was rendered to
    :param key: what ``result_key`` was rendered to
    :return: the XComs; ``None`` if ``result_task_id`` is ``None``
    :raise InvalidParameterError: a field has a value that cannot be used
    """
    from astro_provider.api.results import ResultRequest

    if task_id is None:
        return None
    rendered_key = rendered_id("result_key", key)
    if isinstance(task_id, (Sequence, Set)) and not isinstance(task_id, str):
        if not task_id:
            raise InvalidParameterError("result_task_id was rendered to an empty list")
        return ResultRequest([rendered_id("result_task_id", each) for each in task_id], rendered_key)
    return ResultRequest(rendered_id("result_task_id", task_id), rendered_key)
