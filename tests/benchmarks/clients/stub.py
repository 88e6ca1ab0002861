"""
A target that counts requests and responds as API v2 does, with runs and tasks that all stay running.

    python -m tests.benchmarks.clients.stub RUNS

Prints its port. `GET /counted` returns the number of requests, without its own. Ends when standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from datetime import datetime, timedelta

from aiohttp import web

from tests.benchmarks.seeding import FIRST_DUE, unfinished_run

RUN: dict[str, object] = {
    "logical_date": None,
    "queued_at": "2026-01-01T00:00:00Z",
    "start_date": "2026-01-01T00:00:00Z",
    "end_date": None,
    "duration": None,
    "data_interval_start": None,
    "data_interval_end": None,
    "last_scheduling_decision": None,
    "run_type": "manual",
    "state": "running",
    "triggered_by": "rest_api",
    "triggering_user_name": "admin",
    "conf": {},
    "note": None,
    "dag_versions": [],
    "bundle_version": None,
    "partition_key": None,
    "partition_date": None,
}

TASK: dict[str, object] = {
    "task_id": "work",
    "dag_run_id": "run",
    "map_index": -1,
    "state": "running",
    "try_number": 1,
    "start_date": "2026-01-01T00:00:00Z",
    "end_date": None,
}

RUNS = int(sys.argv[1])

counted = 0


async def version(_: web.Request) -> web.Response:
    return _counted({"version": "3.3.2", "git_version": None})


async def list_runs(request: web.Request) -> web.Response:
    body = await request.json()
    if "end_date_gte" in body:
        return _counted({"dag_runs": [], "total_entries": 0})
    first = _number_due(body["run_after_gte"]) if "run_after_gte" in body else 1
    last = _number_due(body["run_after_lte"]) if "run_after_lte" in body else RUNS
    if "logical_date_gte" in body:
        first, last = _number_due(body["logical_date_gte"]), _number_due(body["logical_date_lte"])
    names = [unfinished_run(number) for number in range(max(first, 1), min(last, RUNS) + 1)]
    listed = [(dag_id, run_id) for dag_id, run_id in names if dag_id in body["dag_ids"]]
    offset, limit = body["page_offset"], body["page_limit"]
    runs = [_run(*each) for each in listed[offset : offset + limit]]
    return _counted({"dag_runs": runs, "total_entries": len(listed)})


async def list_tasks(request: web.Request) -> web.Response:
    body = await request.json()
    offset, limit = body["page_offset"], body["page_limit"]
    tasks = [{**TASK, "dag_id": dag_id} for dag_id in body["dag_ids"][offset : offset + limit]]
    return _counted({"task_instances": tasks, "total_entries": len(body["dag_ids"])})


async def list_tasks_of_dag(request: web.Request) -> web.Response:
    task = {**TASK, "dag_id": request.match_info["dag_id"]}
    return _counted({"task_instances": [task], "total_entries": 1})


async def list_runs_of_dag(request: web.Request) -> web.Response:
    first, last = (_number_due(request.query[f"logical_date_{bound}"]) for bound in ("gte", "lte"))
    names = [unfinished_run(number) for number in range(max(first, 1), min(last, RUNS) + 1)]
    runs = [_run(*each) for each in names if each[0] == request.match_info["dag_id"]]
    return _counted({"dag_runs": runs, "total_entries": len(runs)})


async def get_run(request: web.Request) -> web.Response:
    return _counted(_run(request.match_info["dag_id"], request.match_info["run_id"]))


def _run(dag_id: str, run_id: str) -> dict[str, object]:
    due = FIRST_DUE + timedelta(seconds=int(run_id.rpartition("_")[2]))  # each run has another run_after
    dates = {"logical_date": due.isoformat(), "run_after": due.isoformat()}
    return {**RUN, "dag_id": dag_id, "dag_display_name": dag_id, "dag_run_id": run_id, **dates}


def _number_due(at: str) -> int:
    return int((datetime.fromisoformat(at) - FIRST_DUE).total_seconds())


async def get_count(_: web.Request) -> web.Response:
    return web.json_response(counted)


def _counted(body: dict[str, object]) -> web.Response:
    global counted
    counted += 1
    return web.Response(text=json.dumps(body), content_type="application/json")


async def main() -> None:
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    app = web.Application()
    app.router.add_get("/api/v2/version", version)
    app.router.add_post("/api/v2/dags/~/dagRuns/list", list_runs)
    app.router.add_post("/api/v2/dags/~/dagRuns/~/taskInstances/list", list_tasks)
    app.router.add_get("/api/v2/dags/{dag_id}/dagRuns/~/taskInstances", list_tasks_of_dag)
    app.router.add_get("/api/v2/dags/{dag_id}/dagRuns", list_runs_of_dag)
    app.router.add_get("/api/v2/dags/{dag_id}/dagRuns/{run_id}", get_run)
    app.router.add_get("/counted", get_count)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "localhost", 0, backlog=4096)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
