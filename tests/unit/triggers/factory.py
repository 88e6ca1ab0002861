"""Triggers, created from what Airflow stores of them, and the event that they yield."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from astro_provider.triggers.dag_run import AstroDagRunTrigger
from astro_provider.waits.wait import EndStates, RunWait

END_STATES = EndStates(["success"], ["failed"])


def dag_run_trigger(*, http_conn_id: str = "http_conn", **options: Any) -> AstroDagRunTrigger:
    """
    Create a trigger for the run ``theirs`` of the dag ``d``, from its serialized arguments.

    :param options: options of the trigger, and fields of its wait
    """
    wait_fields = {field.name: options.pop(field.name) for field in fields(RunWait) if field.name in options}
    wait = RunWait(**{"dag_id": "d", "end_states": END_STATES, "run_id": "theirs", **wait_fields})
    _, arguments = AstroDagRunTrigger(http_conn_id=http_conn_id, wait=wait, **options).serialize()
    return AstroDagRunTrigger(**json.loads(json.dumps(arguments)))


async def only_payload(trigger: AstroDagRunTrigger) -> dict[str, Any]:
    """Run a trigger, which must yield one event, with a payload of JSON values."""
    (event,) = [event async for event in trigger.run()]
    payload: dict[str, Any] = event.payload
    assert json.loads(json.dumps(payload)) == payload
    return payload
