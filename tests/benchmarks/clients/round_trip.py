"""
Trigger runs with AstroHook and with a bare session, in turn; print the milliseconds of each.

    python -m tests.benchmarks.clients.round_trip COUNT
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import requests
from airflow.sdk import BaseHook

from astro_provider.hooks.astro import AstroHook

if TYPE_CHECKING:
    from collections.abc import Callable

DAG_ID = "remote_2"
CONF = {"rows": 12}


def milliseconds(trigger: Callable[[str], object], run_id: str) -> float:
    began = time.perf_counter()
    trigger(run_id)
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    connection = BaseHook.get_connection("http_conn")
    url = f"{connection.host}/api/v2/dags/{DAG_ID}/dagRuns"
    found: dict[str, list[float]] = {"this package": [], "requests.Session.post": []}
    with requests.Session() as session, AstroHook("http_conn") as hook:
        session.headers.update(connection.extra_dejson)

        def by_hook(run_id: str) -> object:
            return hook.trigger_dag_run(DAG_ID, run_id=run_id, conf=CONF)

        def by_session(run_id: str) -> object:
            body = {"dag_run_id": run_id, "logical_date": None, "conf": CONF}
            response = session.post(url, json=body, timeout=60)
            response.raise_for_status()
            return response.json()

        for number in range(-1, int(sys.argv[1])):  # the first of each opens the connection and is not counted
            for (_, values), trigger in zip(found.items(), (by_hook, by_session), strict=True):
                took = milliseconds(trigger, f"{trigger.__name__}-{number}")
                if number >= 0:
                    values.append(took)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
