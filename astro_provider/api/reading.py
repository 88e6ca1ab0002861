"""Reading answers: what is expected of one is said here, in the words that an error shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.types import JSON

T = TypeVar("T")


class Unexpected(ValueError):  # noqa: N818  never leaves this package: the exchange makes an error of it
    """An answer is not what was expected; the message says what was."""


def mapping(raw: JSON, what: str, **required: type | tuple[type, ...]) -> dict[str, JSON]:
    """
    Read a JSON object.

    :param raw: what came
    :param what: what it should be, for the error
    :param required: keys that must be there, with the type of their values
    :return: the object
    :raise Unexpected: it is none, or a key is missing or of another type
    """
    if isinstance(raw, dict) and all(key in raw and isinstance(raw[key], kind) for key, kind in required.items()):
        return raw
    raise Unexpected(f"{what} with {', '.join(required)}" if required else what)


def collection(raw: JSON, key: str, read: Callable[[JSON], T]) -> tuple[list[T], int]:
    """
    Read one page of a collection.

    :param raw: what came
    :param key: where the items are, e.g. ``dag_runs``
    :param read: how one item is read
    :return: the items of this page, and how many there are on all pages
    """
    page = mapping(raw, f"a collection of {key}", **{key: list})
    items = page[key]
    total = page.get("total_entries")
    assert isinstance(items, list)  # mapping() saw to it; this tells the type checker
    return [read(item) for item in items], total if isinstance(total, int) else len(items)


def collection_key(raw: JSON) -> str:
    """Find where a collection of an unknown kind has its items: the one list beside ``total_entries``."""
    page = mapping(raw, "a collection", total_entries=int)
    lists = [key for key, value in page.items() if isinstance(value, list)]
    if len(lists) != 1:
        raise Unexpected("a collection: total_entries and one list")
    return lists[0]
