"""Tokens that expire soon or have expired: what tasks and the connection page say about them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import jwt
import pytest

from dev.deployments import Deployment
from tests.integration.runs import Run, trigger_run

SOON = timedelta(days=3)
EXPIRED = timedelta(days=-2)
CONNECTIONS = {"v2_soon": SOON, "v2_expired": EXPIRED, "v1_expired": EXPIRED}
STARTED = {
    ("triggering", "v2_soon"): "mapped",
    ("target_v1", "v2_soon"): "mapped",
    ("triggering", "v2_expired"): "on_worker",
    ("triggering", "v1_expired"): "on_worker",
}


def token_for(target: Deployment, life: timedelta) -> tuple[str, str]:
    """Return a token of the target's admin that expires after ``life``, and this date as messages have it."""
    claims = jwt.decode(target.authorization().split()[1], options={"verify_signature": False})
    expires = datetime.now(timezone.utc).replace(microsecond=0) + life
    claims["iat"] = claims["nbf"] = int((expires - timedelta(days=30)).timestamp())
    claims["exp"] = int(expires.timestamp())
    token = jwt.encode(claims, target._keys.jwt_secret, algorithm="HS512")
    return token, f"{expires:%Y-%m-%d at %H:%M:%S} UTC"


@pytest.fixture(scope="module")
def dates(deployments) -> dict[str, str]:
    """The date on which the token of each connection expires."""
    found = {}
    for conn, life in CONNECTIONS.items():
        token, found[conn] = token_for(deployments.target, life)
        connection = {"conn_type": "astro", "host": deployments.target_of(conn).url, "password": token}
        deployments.triggering.add_connection(conn, connection)
        deployments.target_v1.add_connection(conn, connection)
    return found


@pytest.fixture(scope="module")
def runs(deployments, dates) -> dict[tuple[str, str], Run]:
    """A run of the DAG ``callers`` in each deployment and with each connection; all run at the same time."""
    started = {}
    for home, conn in STARTED:
        deployment = getattr(deployments, home)
        deployment.wait_for_dags("callers")
        conf = {"conn": conn, "existing": f"of-{home}-{datetime.now():%H%M%S%f}"}
        started[home, conn] = trigger_run(deployment, "callers", conf=conf)
    return started


@pytest.mark.parametrize("home", ["triggering", "target_v1"])
def test_each_task_warns_once_of_a_token_that_expires_soon(runs, dates, home):
    run = runs[home, "v2_soon"].wait(240)

    assert run.state == "success", run.states()
    warning = f"The token of connection 'v2_soon' expires on {dates['v2_soon']}: put a new API token of Deployment"
    for task_id, map_index in (("on_worker", -1), ("in_triggerer", -1), ("waits", -1), ("mapped", 0), ("mapped", 1)):
        run.wait_until(
            lambda task_id=task_id, map_index=map_index: warning in log_of(run, task_id, map_index),
            f"{task_id} warns",
        )
        assert log_of(run, task_id, map_index).count("The token of connection") == 1, task_id


def log_of(run: Run, task_id: str, map_index: int) -> str:
    # In Airflow 2, the log is the text of a Python list.
    return run.log(task_id, 1, map_index).replace("\\'", "'")


@pytest.mark.parametrize("conn", ["v2_expired", "v1_expired"])
@pytest.mark.parametrize("task_id", ["on_worker", "in_triggerer"])
def test_refused_token_says_when_it_expired(runs, dates, conn, task_id):
    run = runs["triggering", conn]
    run.wait_until(run.task_is(task_id, "failed"), f"{task_id} has failed", timeout=240)

    assert run.log_contains(task_id, f"The token expired on {dates[conn]}: put a new API token of this Deployment")
    assert run.tasks()[task_id]["try_number"] == 1


@pytest.mark.parametrize(
    ("conn", "works", "words"),
    [
        ("v2_soon", True, "and accepts the credentials. Warning: the token expires on {date}. Put a new API token"),
        (
            "v2_expired",
            False,
            "The token expired on {date}: put a new API token of this Deployment into the connection",
        ),
        (
            "v1_expired",
            False,
            "The token expired on {date}: put a new API token of this Deployment into the connection",
        ),
    ],
)
def test_test_of_the_connection_says_when_the_token_expires(deployments, conn, works, words):
    token, date = token_for(deployments.target, CONNECTIONS[conn])
    body = {"connection_id": conn, "conn_type": "astro", "host": deployments.target_of(conn).url, "password": token}
    tested = deployments.triggering.request("POST", "connections/test", json=body)

    assert tested["status"] is works
    assert words.format(date=date) in tested["message"]
    assert not [part for part in token.split(".") if part in tested["message"]]
