"""What templated fields have become at run time."""

from __future__ import annotations


def rendered_id(parameter: str, value: object) -> str:
    """
    Write an id as text: with ``render_template_as_native_obj``, one that looks like a number is a number.

    :param parameter: the parameter that gives the id, for the error
    :param value: what it was rendered to
    :return: the id
    :raise ValueError: it names nothing: ``None``, ``""``, ``"None"``, or something that is not a single value
    """
    if is_empty(value):
        raise ValueError(
            f"{parameter} was rendered to {value!r}: it names nothing. "
            f"Correct the template or the task that it takes the value from; leave {parameter} out to use its default"
        )
    if isinstance(value, (dict, list, tuple, set)):
        raise ValueError(f"{parameter} must be text, but was rendered to {value!r}")
    return str(value)


def is_empty(value: object) -> bool:
    """Say whether a template came to nothing: ``None``, ``""`` or ``"None"``."""
    return value is None or (isinstance(value, str) and value.strip() in ("", "None"))
