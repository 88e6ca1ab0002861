"""
A target that only counts: answers the waits' questions as API v2 does, and says that every run is running.

    python -m tests.benchmarks.clients.stub

Prints its port. `GET /counted` tells how many requests have arrived, itself excluded. Ends with standard input.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys

from aiohttp import web

A_RUN: dict[str, object] = {
    "logical_date": None,
    "queued_at": "2026-01-01T00:00:00Z",
    "start_date": "2026-01-01T00:00:00Z",
    "end_date": None,
    "duration": None,
    "data_interval_start": None,
    "data_interval_end": None,
    "run_after": "2026-01-01T00:00:00Z",
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

counted = 0


async def version(_: web.Request) -> web.Response:
    return _counted({"version": "3.3.2", "git_version": None})


async def nothing_finished(_: web.Request) -> web.Response:
    return _counted({"dag_runs": [], "total_entries": 0})


async def running(request: web.Request) -> web.Response:
    dag_id, run_id = request.match_info["dag_id"], request.match_info["run_id"]
    return _counted({**A_RUN, "dag_id": dag_id, "dag_display_name": dag_id, "dag_run_id": run_id})


async def tell(_: web.Request) -> web.Response:
    return web.json_response(counted)


def _counted(body: dict[str, object]) -> web.Response:
    global counted
    counted += 1
    return web.Response(text=json.dumps(body), content_type="application/json")


async def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    app = web.Application()
    app.router.add_get("/api/v2/version", version)
    app.router.add_post("/api/v2/dags/~/dagRuns/list", nothing_finished)
    app.router.add_get("/api/v2/dags/{dag_id}/dagRuns/{run_id}", running)
    app.router.add_get("/counted", tell)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "localhost", 0, backlog=4096)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
