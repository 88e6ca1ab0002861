"""Functions for ``response_check``, in a module that a triggerer can import."""

from __future__ import annotations

import functools
from typing import Any

from astro_provider.airflow_versions import AirflowSkipException


def is_ready(response: Any) -> bool:
    return bool(response["ready"])


def is_ready_or_missing(response: Any) -> bool:
    return "detail" in response or bool(response["ready"])


def pops_ready(response: Any) -> bool:
    return bool(response.pop("ready"))


def has_default(response: Any, least: int = 1) -> bool:
    return bool(response["ready"]) and least == 1


async def is_ready_later(response: Any) -> bool:
    return bool(response["ready"])


def needs_day(response: Any, ds: str) -> bool:
    return response["ready"] == ds


def needs_anything(response: Any, **context: Any) -> bool:
    return bool(response["ready"])


def skips(response: Any) -> bool:
    if response["ready"]:
        raise AirflowSkipException("nothing to do")
    return False


def _decorated(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(response: Any) -> Any:
        return function(response)

    return wrapper


class Checks:
    def method(self, response: Any) -> bool:
        return bool(response["ready"])


original = is_ready


@_decorated
def decorated(response: Any) -> bool:
    return bool(response["ready"])
