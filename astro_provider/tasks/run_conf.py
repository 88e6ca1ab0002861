"""The conf of a run, from what a DAG author gives to the dict that is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import with_openlineage_parent
from astro_provider.api.errors import InvalidParameterError
from astro_provider.api.template_values import is_empty
from astro_provider.tasks.rendered import is_resolved_later

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_SHOWN_CHARACTERS = 100


def parsed_conf(conf: object) -> dict[str, Any] | None:
    """
    Read a conf when the task runs.

    :param conf: a dict, or JSON text of an object; ``None``, ``""`` and ``"None"`` mean none. A sequence in it, such
        as the results of a mapped task, becomes a list
    :return: the dict, of plain JSON values
    :raise InvalidParameterError: it is neither, or holds what JSON cannot hold
    """
    return _parsed(conf, _plain)


def run_conf(conf: object, ti: Any) -> dict[str, Any] | None:
    """
    Make the conf that is sent: what the author gave, and OpenLineage's parent facts where its provider is active.

    :param conf: see :func:`parsed_conf`
    :param ti: the task instance that is the parent, ``None`` to leave the facts out
    :raise InvalidParameterError: see :func:`parsed_conf`
    """
    parsed = parsed_conf(conf)
    return parsed if ti is None else with_openlineage_parent(parsed, ti)


def check_conf(conf: object) -> None:
    """
    Refuse a conf when the DAG is parsed, if it is wrong whatever is rendered later.

    :param conf: as for :func:`parsed_conf`, with templates and results of other tasks in it
    :raise InvalidParameterError: it is wrong
    """
    if not is_resolved_later(conf):
        _parsed(conf, lambda value: None if is_resolved_later(value) else _plain(value))


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


def _plain(value: object) -> object:
    """Make a list of what Airflow gives for the results of a mapped task, which is a sequence but no list."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _shown(conf: object) -> str:
    text = conf if isinstance(conf, str) else repr(conf)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}..."
