"""
Wait for runs that nobody ends, in one asyncio process as a triggerer is.

    python -m tests.benchmarks.clients.waiting WAY COUNT

For each line of standard input, prints what the process has used so far; ends with standard input.
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
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
from airflow.providers.http.hooks.http import HttpAsyncHook
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from astro_provider.triggers.dag_run import AstroDagRunTrigger
from tests.benchmarks.seeding import running_run
from tests.benchmarks.sizes import POKE_INTERVAL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HTTP_CONN, ASTRO_CONN = "http_conn", "astro_conn"
A_WEEK = 7 * 24 * 3600.0  # the default timeout of a sensor

troubles = 0


async def this_package(dag_id: str, run_id: str) -> None:
    """As the sensor defers."""
    trigger = AstroDagRunTrigger(
        http_conn_id=HTTP_CONN,
        external_dag_id=dag_id,
        external_run_id=run_id,
        poke_interval=POKE_INTERVAL,
        deadline=time.time() + A_WEEK,
    )
    async for event in trigger.run():
        raise RuntimeError(f"The wait is over: {event}")


async def http_async_hook(dag_id: str, run_id: str) -> None:
    """As a trigger of one's own does: a hook for itself, and a session for each look, as `HttpTrigger` has it."""
    hook = HttpAsyncHook(method="GET", http_conn_id=HTTP_CONN)

    async def state() -> str:
        async with aiohttp.ClientSession() as session:
            response = await hook.run(session=session, endpoint=f"api/v2/dags/{dag_id}/dagRuns/{quote(run_id)}")
            return str((await response.json())["state"])

    await _look_again_and_again(state)


async def external_deployment_sensor(dag_id: str, run_id: str) -> None:
    """
    As the trigger of `ExternalDeploymentSensor` (astronomer-providers) does, from reading it.

    Each wait asks for the API version once, then for its run at each look; each look reads the connection and makes
    a session.
    """
    has_asked_for_version = False

    async def state() -> str:
        nonlocal has_asked_for_version
        connection = BaseHook.get_connection(ASTRO_CONN)
        headers = {"accept": "application/json", "Authorization": f"Bearer {connection.password}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            if not has_asked_for_version:
                async with session.get(f"{connection.host}/api/v2/version") as response:
                    response.raise_for_status()
                    has_asked_for_version = True
            url = f"{connection.host}/api/v2/dags/{dag_id}/dagRuns/{quote(run_id)}"
            async with session.get(url) as response:
                response.raise_for_status()
                return str((await response.json())["state"])

    await _look_again_and_again(state)


async def _look_again_and_again(state: Callable[[], Awaitable[str]]) -> None:
    global troubles
    while True:
        try:
            if await state() in ("success", "failed"):
                raise RuntimeError("The wait is over")
        except (aiohttp.ClientError, asyncio.TimeoutError, AirflowException):
            troubles += 1
        await asyncio.sleep(POKE_INTERVAL)


WAYS = {each.__name__: each for each in (this_package, http_async_hook, external_deployment_sensor)}


def used() -> dict[str, float]:
    """What this process has used by its own accounting."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss / 1024, "troubles": troubles}


async def main() -> None:
    way, count = WAYS[sys.argv[1]], int(sys.argv[2])
    logging.disable(logging.INFO)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # ways with a session for each look open that many
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Airflow logs to standard output, which is for answers here
    waiting = asyncio.gather(*(_begin(way, number, count) for number in range(1, count + 1)))
    loop = asyncio.get_running_loop()
    questions = loop.create_task(asyncio.to_thread(_answer_questions, answers))
    futures: set[asyncio.Future[Any]] = {waiting, questions}
    done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    for each in done:
        each.result()
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting


async def _begin(way: Callable[[str, str], Awaitable[None]], number: int, count: int) -> None:
    """Begin one after the other within an interval, as tasks do: else all looks would come at once for ever."""
    await asyncio.sleep(POKE_INTERVAL * number / count)
    await way(*running_run(number))


def _answer_questions(answers: IO[str]) -> None:
    for _ in sys.stdin:
        print(json.dumps(used()), file=answers, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
