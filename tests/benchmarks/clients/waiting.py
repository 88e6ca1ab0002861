"""
Wait for runs that do not finish, in one process with an asyncio loop, as a triggerer does.

    python -m tests.benchmarks.clients.waiting WAY COUNT

For each line of standard input, prints the number of waits that have been answered, and the resources used so far. Ends
when standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import sys
import time
from contextlib import suppress
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
from airflow.providers.http.hooks.http import HttpAsyncHook
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from astro_provider.triggers.dag_run import wait_for_event
from astro_provider.waits.wait import EndStates, RunWait
from tests.benchmarks.seeding import FIRST_DUE, unfinished_run
from tests.benchmarks.sizes import POKE_INTERVAL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HTTP_CONN, ASTRO_CONN = "http_conn", "astro_conn"
AGE_SECONDS = 600.0  # a younger wait is checked more often than once per interval
WEEK_SECONDS = 7 * 24 * 3600.0  # the default timeout of a sensor

answered: set[tuple[str, str]] = set()
"""The runs of the waits that have been answered at least once."""

failed_checks = 0


async def this_package(dag_id: str, run_id: str) -> None:
    """Wait as the triggers of the operator and of the sensors do, if another triggerer was the first to wait."""
    event = await wait_for_event(
        RunWait(dag_id, EndStates(["success"], ["failed"]), run_id=run_id, must_exist=True),
        HTTP_CONN,
        poke_interval=POKE_INTERVAL_SECONDS,
        deadline=time.time() + WEEK_SECONDS,
        started_at=time.time() - AGE_SECONDS,
        on_change=lambda _: answered.add((dag_id, run_id)),
        warn=logging.warning,
    )
    raise RuntimeError(f"The wait has ended: {event}")


async def until_dags_are_idle(_: str, run_id: str) -> None:
    """Wait until a dag is idle, each wait for another dag."""
    await _until_idle(f"busy_{run_id.rpartition('_')[2]}", run_id)


async def until_one_dag_is_idle(_: str, run_id: str) -> None:
    """Wait until a dag is idle, all waits for the same dag."""
    await _until_idle("busy_1", run_id)


async def _until_idle(dag_id: str, name: str) -> None:
    event = await wait_for_event(
        RunWait(dag_id, EndStates(["success"]), idle=True),
        HTTP_CONN,
        poke_interval=POKE_INTERVAL_SECONDS,
        deadline=time.time() + WEEK_SECONDS,
        started_at=time.time() - AGE_SECONDS,
        on_change=lambda _: answered.add((dag_id, name)),
        warn=logging.warning,
    )
    raise RuntimeError(f"The wait has ended: {event}")


async def until_range_has_succeeded(dag_id: str, run_id: str) -> None:
    """Wait for all runs in a range of logical dates, each wait for another range with one run that stays running."""
    start = FIRST_DUE + timedelta(seconds=int(run_id.rpartition("_")[2]))
    dates = [start.isoformat(), (start + timedelta(seconds=1)).isoformat()]
    event = await wait_for_event(
        RunWait(dag_id, EndStates(["success"], ["failed"]), logical_date_range=dates, expected_runs=2),
        HTTP_CONN,
        poke_interval=POKE_INTERVAL_SECONDS,
        deadline=time.time() + WEEK_SECONDS,
        started_at=time.time() - AGE_SECONDS,
        on_change=lambda _: answered.add((dag_id, run_id)),
        warn=logging.warning,
    )
    raise RuntimeError(f"The wait has ended: {event}")


async def http_async_hook(dag_id: str, run_id: str) -> None:
    """Wait as a self-written trigger does: with its own hook, and a new session for each check, as in `HttpTrigger`."""
    hook = HttpAsyncHook(method="GET", http_conn_id=HTTP_CONN)

    async def state() -> str:
        async with aiohttp.ClientSession() as session:
            response = await hook.run(session=session, endpoint=f"api/v2/dags/{dag_id}/dagRuns/{quote(run_id)}")
            return str((await response.json())["state"])

    await _poll((dag_id, run_id), state)


async def external_deployment_sensor(dag_id: str, run_id: str) -> None:
    """
    Wait as the trigger of `ExternalDeploymentSensor` (astronomer-providers) does, rebuilt from its source.

    Each wait requests the API version once, and its run at each check. Each check reads the connection and creates a
    session.
    """
    has_requested_version = False

    async def state() -> str:
        nonlocal has_requested_version
        connection = BaseHook.get_connection(ASTRO_CONN)
        headers = {"accept": "application/json", "Authorization": f"Bearer {connection.password}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            if not has_requested_version:
                async with session.get(f"{connection.host}/api/v2/version") as response:
                    response.raise_for_status()
                    has_requested_version = True
            url = f"{connection.host}/api/v2/dags/{dag_id}/dagRuns/{quote(run_id)}"
            async with session.get(url) as response:
                response.raise_for_status()
                return str((await response.json())["state"])

    await _poll((dag_id, run_id), state)


async def _poll(run: tuple[str, str], state: Callable[[], Awaitable[str]]) -> None:
    global failed_checks
    while True:
        try:
            if await state() in ("success", "failed"):
                raise RuntimeError("The wait has ended")
            answered.add(run)
        except (aiohttp.ClientError, asyncio.TimeoutError, AirflowException):
            failed_checks += 1
        await asyncio.sleep(POKE_INTERVAL_SECONDS)


OURS = (this_package, until_dags_are_idle, until_one_dag_is_idle, until_range_has_succeeded)
WAYS = {each.__name__: each for each in (*OURS, http_async_hook, external_deployment_sensor)}


def report() -> dict[str, float]:
    """Return what the waits have seen, and the resources that this process has used, by its own accounting."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "answered": len(answered),
        "failed_checks": failed_checks,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss / 1024,
    }


async def main() -> None:
    way, count = WAYS[sys.argv[1]], int(sys.argv[2])
    logging.disable(logging.INFO)
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))  # some ways open a session for each check
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Airflow logs to standard output, which must contain only responses
    waiting = asyncio.gather(*(_start_wait(way, number, count) for number in range(1, count + 1)))
    loop = asyncio.get_running_loop()
    responding = loop.create_task(asyncio.to_thread(_respond, output))
    futures: set[asyncio.Future[Any]] = {waiting, responding}
    done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    for each in done:
        each.result()
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting


async def _start_wait(way: Callable[[str, str], Awaitable[None]], number: int, count: int) -> None:
    """
    Start a wait.

    The waits of this package join together, as in a triggerer that starts. Those of the peers start evenly over one
    interval, because each of them repeats its checks at the times that follow from its start.
    """
    await asyncio.sleep(
        0 if way not in (http_async_hook, external_deployment_sensor) else POKE_INTERVAL_SECONDS * number / count
    )
    await way(*unfinished_run(number))


def _respond(output: IO[str]) -> None:
    for _ in sys.stdin:
        print(json.dumps(report()), file=output, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
