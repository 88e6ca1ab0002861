"""The conf of a run: how the value in a DAG file becomes the JSON object that is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from astro_provider.api.errors import InvalidParameterError
from astro_provider.api.template_values import is_empty
from astro_provider.tasks.lineage import with_openlineage_parent
from astro_provider.tasks.rendered import is_template

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_SHOWN_CHARACTERS = 100


def parsed_conf(conf: object) -> dict[str, Any] | None:
    """
    Read a conf whose templates are rendered.

    :param conf: a dict, or the JSON text of one; ``None``, ``""`` and ``"None"`` mean no conf. Other sequences in it,
        such as the results of a mapped task, become lists
    :return: the conf as plain JSON values, or ``None``
    :raise InvalidParameterError: the conf is neither, or has a value that JSON cannot represent
    """
    return _parsed(conf, _plain)


def run_conf(conf: object, ti: Any) -> dict[str, Any] | None:
    """
    Derive the conf that is sent: the user's conf and, if the OpenLineage provider is active, OpenLineage's parent run.

    :param conf: see :func:`parsed_conf`
    :param ti: the task instance that is the parent run; ``None`` to leave it out
    :raise InvalidParameterError: see :func:`parsed_conf`
    """
    parsed = parsed_conf(conf)
    return parsed if ti is None else with_openlineage_parent(parsed, ti)


def check_conf(conf: object) -> None:
    """
    Check a conf when the DAG is parsed. Templates and results of other tasks in it are not checked.

    :param conf: see :func:`parsed_conf`
    :raise InvalidParameterError: see :func:`parsed_conf`
    """
    if not is_template(conf):
        _parsed(conf, _plain_unless_template)


def stored_conf(conf: object) -> object:
    """
    Convert a conf whose templates are not rendered yet, so that Airflow can store it in a trigger.

    :param conf: see :func:`parsed_conf`
    :return: the text, or the dict with plain JSON values; a template for the whole conf as it is
    :raise InvalidParameterError: see :func:`parsed_conf`
    """
    return conf if isinstance(conf, str) else _parsed(conf, _plain)


def _parsed(conf: object, default: Callable[[object], object]) -> dict[str, Any] | None:
    if is_empty(conf):
        return None
    try:
        parsed = json.loads(conf) if isinstance(conf, str) else conf
        plain = json.loads(json.dumps(parsed, allow_nan=False, default=default))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidParameterError(
            f"conf must be a dict that JSON can hold, or JSON text: {error}, in {_shown(conf)}"
        ) from None
    if not isinstance(plain, dict):
        raise InvalidParameterError(
            f"conf must be a dict or the JSON text of one, not of a {type(parsed).__name__}: {_shown(conf)}"
        )
    return plain


def _plain_unless_template(value: object) -> object:
    return None if is_template(value) else _plain(value)


def _plain(value: object) -> object:
    """Convert a mapping or sequence that is no dict or list. Airflow's results of a mapped task are a sequence."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _shown(conf: object) -> str:
    text = conf if isinstance(conf, str) else repr(conf)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}..."
