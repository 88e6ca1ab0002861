"""What a task wants to clear, and what its earlier tries have done, for tests of what is done with it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from astro_provider.tasks.clear_request import CLEAR_FIELDS, read_clear_request
from astro_provider.tasks.clear_tries import EarlierTries
from tests.unit.task_runner import NOW

if TYPE_CHECKING:
    from astro_provider.tasks.clear_request import ClearRequest

_DEFAULTS = {
    "external_dag_id": "d",
    "http_conn_id": "http_conn",
    "latest": False,
    "include_downstream": False,
    "only_failed": False,
    "wait_for_completion": False,
}

FIRST_TRY = EarlierTries(retry=False, started_at=NOW.timestamp(), started_at_is_after_clear=True)


def clear_fields(**fields: Any) -> SimpleNamespace:
    """Make the fields of a task, with the defaults of the operator for all that are not given."""
    return SimpleNamespace(**{**dict.fromkeys(CLEAR_FIELDS), **_DEFAULTS, **fields})


def clear_request(**fields: Any) -> ClearRequest:
    """Read the request of a task with these fields."""
    return read_clear_request(clear_fields(**fields))
