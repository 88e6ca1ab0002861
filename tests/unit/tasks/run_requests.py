"""What a task wants to trigger, for tests of what is done with it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from astro_provider.tasks.run_request import REQUEST_FIELDS, read_request

if TYPE_CHECKING:
    from astro_provider.tasks.run_request import RunRequest

_DEFAULTS = {
    "trigger_dag_id": "d",
    "http_conn_id": "http_conn",
    "wait_for_completion": False,
    "on_existing_run": "fail",
    "on_active_run": "trigger",
    "if_paused": "trigger",
}


def run_request(**fields: Any) -> RunRequest:
    """Read the request of a task with these fields, and the defaults of the operator for all others."""
    rendered = {**dict.fromkeys(REQUEST_FIELDS), **_DEFAULTS, **fields}
    return read_request(SimpleNamespace(**rendered))
