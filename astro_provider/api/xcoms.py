"""The XComs of one task of a dag run: flows of several calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astro_provider.api.errors import InvalidRequestError
from astro_provider.api.flow import MAX_RESPONSE_BYTES
from astro_provider.api.paging import XCOM_KEYS, read_list
from astro_provider.api.xcom_calls import XComValue, get_xcom, list_mapped_instances, list_xcoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import JSON


def unchanged(value: JSON) -> JSON:
    """Accept every value."""
    return value


class TaskXComs:
    """
    The XComs of one task with the same key: one, or those of the instances of a mapped task.

    :param client: the target
    :param dag_id: the dag
    :param run_id: the run
    :param task_id: the task
    :param key: the key
    :param max_bytes: size of the largest response that is read
    :ivar is_text: whether the target has turned out to give every value as text, as Airflow before 2.10 does
    """

    def __init__(
        self, client: Client, dag_id: str, run_id: str, task_id: str, key: str, *, max_bytes: int = MAX_RESPONSE_BYTES
    ) -> None:
        self._client = client
        self._task = (dag_id, run_id, task_id)
        self._key = key
        self._max_bytes = max_bytes
        self.is_text = False

    def get(self, map_index: int | None) -> Flow[JSON]:
        """
        Get a value like :meth:`find`, or that of one instance of a mapped task.

        :param map_index: map index of a mapped task instance; ``None`` for all of them, or a task that is not mapped
        :raise NotFoundError: there is no XCom
        """
        found = yield from (self.find() if map_index is None else self._find_one(map_index))
        if found is None:  # the error of this call names dags with similar ids
            found = yield from self._client.call(get_xcom, *self._task, self._key, map_index, as_text=self.is_text)
        return found.value

    def find(self, accept: Callable[[JSON], JSON] = unchanged) -> Flow[XComValue | None]:
        """
        Find the value of the task; of a mapped task, the list of the values in order of map index.

        The list lacks the instances without an XCom, as in Airflow's ``xcom_pull``. A task that is not mapped takes one
        request, a mapped one two, and another one for each value.

        :param accept: called with each value; returns it or raises an error
        :return: the value; ``None`` if there is none, and the task is not mapped
        """
        found = yield from self._find_one(None)
        if found is not None:
            return XComValue(accept(found.value))
        indexes = yield from self._map_indexes()
        if indexes is None:
            return None
        values: list[JSON] = []
        for index in indexes:
            found = yield from self._find_one(index)
            if found is not None:
                values.append(accept(found.value))
        return XComValue(values)

    def _find_one(self, map_index: int | None) -> Flow[XComValue | None]:
        arguments = (*self._task, self._key, map_index)
        if not self.is_text:
            try:
                return (yield from self._client.find(get_xcom, *arguments, max_bytes=self._max_bytes))
            except InvalidRequestError as error:
                # Measured: 2.11.2 answers so to a parameter that it does not know; 2.10 was the first to know this one.
                if "Extra query parameter(s) stringify" not in error.detail:
                    raise
            self.is_text = True
        return (yield from self._client.find(get_xcom, *arguments, max_bytes=self._max_bytes, as_text=True))

    def _map_indexes(self) -> Flow[list[int] | None]:
        """List the instances of a mapped task that have an XCom; ``None`` if the task is not mapped."""
        pages = self._client.pages(list_xcoms, *self._task, self._key)
        entries = yield from read_list(pages, XCOM_KEYS)
        indexes = sorted(entry["map_index"] for entry in entries if entry["map_index"] >= 0)
        if not indexes:
            first = {"limit": 1, "offset": 0}
            if (yield from self._client.find(list_mapped_instances, first, *self._task)) is None:
                return None
        return indexes
