"""The function of a user that decides about a response: how it is called, and whether a triggerer can call it."""

from __future__ import annotations

import copy
import inspect
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any

from astro_provider.api.errors import InvalidParameterError, ResponseCheckError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from astro_provider.api.types import JSON

_DAG_FILE_PREFIX = "unusual_prefix_"
"""How the name begins under which Airflow imports a DAG file. Measured: 2.11.2, 3.3.2."""

ADVICE = "Put it into a module of the project, such as include/checks.py, and import it in the DAG file"


def check_function(parameter: str, function: object) -> None:
    """
    Check a function of a user when the DAG is parsed.

    :param parameter: name of the parameter, for the error
    :param function: the value of the parameter
    :raise InvalidParameterError: it cannot be called, or returns a coroutine or generator, which always counts as true
    """
    if not callable(function):
        raise InvalidParameterError(f"{parameter} must be a function, not {function!r}")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise InvalidParameterError(f"{parameter} must be an ordinary function: without async, await and yield")


def accepts(function: Callable[..., Any], response: JSON, context: Mapping[str, Any], about: object) -> bool:
    """
    Call the function with a response and the context variables that it has parameters for.

    :param function: the function
    :param response: the parsed response
    :param context: the context of the task; empty in a triggerer
    :param about: the request, for the message of an error
    :return: whether the function accepts the response
    :raise ResponseCheckError: the function raised an exception
    :raise AirflowException: the function raised an exception of Airflow, which can skip or fail the task
    """
    from astro_provider.airflow_versions import AirflowException, determine_kwargs

    try:
        return bool(function(response, **determine_kwargs(function, [response], context)))
    except AirflowException:
        raise
    except Exception as error:
        kind = type(error).__name__
        raise ResponseCheckError(
            f"response_check {_name(function)} failed for {about}: {kind}: {error}. It is called with the parsed JSON "
            f"of the response, here {shortened(response)}"
        ) from error


def accepts_copy(function: Callable[..., Any], response: JSON, about: object) -> bool:
    """Call the function in a triggerer, with a copy of a response that other waits also use; see :func:`accepts`."""
    return accepts(function, copy.deepcopy(response), {}, about)


def worker_reason(function: object, context: Mapping[str, Any]) -> str | None:
    """
    Find out why a triggerer cannot call the function.

    :param function: the function
    :param context: the context of the task
    :return: the reason and what to do about it, as a sentence without its subject; ``None`` if a triggerer can
    """
    if not isinstance(function, FunctionType) or "." in function.__qualname__ or function.__name__ == "<lambda>":
        return f"is no function of a module, which a triggerer could import. {ADVICE}"
    if needed := _context_variables(function, context):
        return f"needs {', '.join(needed)} of the context, which a triggerer does not have"
    if function.__module__.startswith(_DAG_FILE_PREFIX) or function.__module__ == "__main__":
        return f"is in a DAG file, which a triggerer does not import. {ADVICE}"
    try:
        found = load_function(function_path(function))
    except (ImportError, AttributeError) as error:
        return f"cannot be imported by its name: {error}. {ADVICE}"
    if found is not function:
        return f"is not what its name {function_path(function)!r} leads to, such as a decorated function. {ADVICE}"
    return None


def function_path(function: Callable[..., Any]) -> str:
    """Return the path by which :func:`load_function` finds the function in another process."""
    return f"{function.__module__}:{function.__qualname__}"


def load_function(path: str) -> Callable[..., Any]:
    """
    Import a function.

    :param path: what :func:`function_path` returned
    :raise ImportError: there is no such module, or it cannot be imported
    :raise AttributeError: the module has no such function
    """
    module, _, name = path.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


def shortened(response: JSON) -> str:
    """Return the beginning of a response, for a message, without the values that Airflow hides in logs."""
    from astro_provider.airflow_versions import redact

    text = repr(redact(response))
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}…"


_MAX_SHOWN_CHARACTERS = 200


def _context_variables(function: FunctionType, context: Mapping[str, Any]) -> list[str]:
    """Name the parameters after the first one that only a worker can fill."""
    others = list(inspect.signature(function).parameters.values())[1:]
    return [
        str(each) if each.kind is each.VAR_KEYWORD else each.name
        for each in others
        if each.kind is each.VAR_KEYWORD
        or (each.kind is not each.VAR_POSITIONAL and (each.default is each.empty or each.name in context))
    ]


def _name(function: Callable[..., Any]) -> str:
    return repr(getattr(function, "__qualname__", None) or type(function).__name__)
