"""ScriptedTarget responds to paths of the other API version as the real Airflow does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from dev.environments import site_packages
from tests.unit.scripted_target import ReceivedRequest, ScriptedTarget

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS = [
    ("GET", "/api/{other}/dags/d"),
    ("POST", "/api/{other}/dags/d/dagRuns"),
    ("POST", "/api/{other}/dags/~/dagRuns/list"),
    ("PATCH", "/api/{other}/dags/d/dagRuns/r"),
    ("DELETE", "/api/{other}/pools/p"),
    ("PUT", "/api/{own}/version"),
]

SERVERS = {
    "v1": """
import airflow.utils.db
airflow.utils.db.initdb()
from airflow.www.app import create_app
client = create_app(testing=True).test_client()
def call(method, path):
    response = client.open(path, method=method, json={} if method != "GET" else None)
    return response.status_code, response.headers["Content-Type"], response.text
""",
    "v2": """
from airflow.api_fastapi.app import create_app
from fastapi.testclient import TestClient
client = TestClient(create_app(apps="core"))
def call(method, path):
    response = client.request(method, path, json={} if method != "GET" else None)
    return response.status_code, response.headers["Content-Type"], response.text
""",
}
PROGRAM = """
import json, sys
responses = [call(method, path) for method, path in json.loads(sys.argv[1])]
print("RESPONSES", json.dumps(responses), sep="")
"""


@pytest.mark.parametrize(("own", "other"), [("v1", "v2"), ("v2", "v1")])
def test_scripted_target_responds_to_the_other_version_as_airflow_does(own: str, other: str, tmp_path: Path) -> None:
    requests = [(method, path.format(own=own, other=other)) for method, path in REQUESTS]
    target = ScriptedTarget(own)
    for (method, path), (status, content_type, text) in zip(
        requests, _real_responses(own, requests, tmp_path), strict=True
    ):
        if f"/{own}/" in path:
            assert (status, content_type.partition(";")[0], "title" in json.loads(text)) == {
                "v1": (405, "application/problem+json", True),
                "v2": (405, "application/json", False),
            }[own]
            continue
        response = target.respond(ReceivedRequest(method, path, {}, b""))
        assert (response.status, response.headers["Content-Type"].partition(";")[0]) == (
            status,
            content_type.partition(";")[0],
        )
        if "json" in content_type:
            assert json.loads(response.body) == json.loads(text)
        else:
            assert "<!doctype html" in text.lower()
            assert b"<!doctype html" in response.body.lower()


def _real_responses(version: str, requests: list[tuple[str, str]], airflow_home: Path) -> list[tuple[int, str, str]]:
    python = sys.executable
    if version == "v1":
        python = str(next(site_packages("target-v1").parents[2].glob("bin/python")))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_")} | {
        "AIRFLOW_HOME": str(airflow_home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow_home}/airflow.db",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    run = subprocess.run(
        [python, "-c", SERVERS[version] + PROGRAM, json.dumps(requests)],
        env=environment,
        cwd=airflow_home,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("RESPONSES")]
    payloads: list[Any] = json.loads(line.removeprefix("RESPONSES"))
    return [(status, content_type, text) for status, content_type, text in payloads]
