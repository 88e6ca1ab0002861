"""Triggers a dag run whose logical date is the current time of the target."""

from __future__ import annotations

import random
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from astro_provider.api import calls
from astro_provider.api.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astro_provider.api.exchange import Exchange
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import DagRun, JSONInput

MAX_NOW_REQUESTS = 5
"""How often a run is triggered with the current time as its logical date, if other runs have that time by chance."""

CLOCK_PRECISION_SECONDS = 1.5
"""
How much the measured lead of the target's clock can be too low: the target reports its time in whole seconds, and the
response takes time. A lead that can be zero counts as zero: around midnight, the date must be that of today.
"""

MAX_STEP_SECONDS = 0.001
"""How much earlier than the last one another logical date is, at most. Airflow keeps microseconds."""


def trigger_now(exchange: Exchange, dag_id: str, fields: Mapping[str, JSONInput], *, idempotent: bool) -> Flow[DagRun]:
    """
    Trigger a run whose logical date is the current time.

    If another run has the same time by chance, another time is sent, at most ``MAX_NOW_REQUESTS`` times.

    :param exchange: the target
    :param dag_id: the dag
    :param fields: see :func:`astro_provider.api.calls.trigger_dag_run`; without ``logical_date``
    :param idempotent: see there
    :raise ConflictError: a run with the same run id exists, or other runs had each of the times
    """
    run_id = fields["dag_run_id"]
    for requests in range(1, MAX_NOW_REQUESTS + 1):
        now = _now(exchange, step=requests - 1)
        try:
            return (yield from exchange.call(calls.trigger_dag_run, dag_id, fields, now=now, idempotent=idempotent))
        except ConflictError as conflict:
            # API v2 does not say which of the two another run has: the run id or the logical date.
            if run_id:
                conflict.existing = yield from exchange.find(calls.get_dag_run, dag_id, str(run_id))
            if conflict.existing or requests == MAX_NOW_REQUESTS:
                raise
    raise AssertionError("the last request returns or raises")


def _now(exchange: Exchange, *, step: int) -> str:
    """
    Return the current time by the target's clock.

    It is not later than that, as far as the clock is known: the tasks of a run start only at its logical date.

    :param step: 0 for the exact time. Each further step is earlier by a random part of ``MAX_STEP_SECONDS``: all
        instances of a mapped task can begin at the same time, on machines whose clocks advance in larger steps
    """
    lead = exchange.memory.clock_lead
    now = exchange.clock() + (0.0 if -CLOCK_PRECISION_SECONDS <= lead <= 0 else lead)
    earlier = step and MAX_STEP_SECONDS * (step - random.uniform(0, 0.99))  # steps stay microseconds apart
    return datetime.fromtimestamp(now - earlier, timezone.utc).isoformat()
