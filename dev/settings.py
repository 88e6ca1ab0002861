"""
The configuration of the deployments in `dev/deployments.py`: environment variables for Airflow 2 and Airflow 3.

`docker-compose.yaml` contains the same settings for containers; `tests/dev/test_compose.py` compares the two.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dev.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Users of local deployments, with their roles. The password of each user is the user name.
USERS = {"admin": "admin", "viewer": "viewer"}
PASSWORDS = json.dumps({user: user for user in USERS})
PASSWORDS_FILE = "passwords.json"  # in the AIRFLOW_HOME of an Airflow 3 deployment

# Airflow and Python settings of the caller that must not reach a deployment.
DROPPED_PREFIXES = ("AIRFLOW", "PYTHON", "VIRTUAL_ENV", "COV_CORE", "COVERAGE", "PYTEST")


@dataclass(frozen=True)
class Keys:
    """Random secrets that the processes of one deployment share."""

    fernet_key: str = field(default_factory=lambda: base64.urlsafe_b64encode(os.urandom(32)).decode())
    jwt_secret: str = field(default_factory=lambda: secrets.token_hex(32))
    secret_key: str = field(default_factory=lambda: secrets.token_hex(32))


@dataclass(frozen=True)
class Ports:
    """The TCP ports of one deployment: REST API, trigger log server, worker log server."""

    api: int
    trigger_logs: int
    worker_logs: int


def environ(
    airflow_version: str,
    bin_folder: Path,
    airflow_home: Path,
    database: str,
    ports: Ports,
    keys: Keys,
    extra: Mapping[str, str],
) -> dict[str, str]:
    """
    Return all environment variables of a deployment's processes.

    :param bin_folder: the `bin` folder of its Python environment
    :param database: the SQLAlchemy address of its PostgreSQL database, for psycopg2
    :param extra: additional variables; they replace others of the same name
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED_PREFIXES)}
    for_version = _airflow_2 if airflow_version.startswith("2.") else _airflow_3
    settings = _common(airflow_home, database, ports, keys) | for_version(airflow_home, database, ports, keys)
    variables = {f"AIRFLOW__{section.upper()}__{key.upper()}": value for (section, key), value in settings.items()}
    own = {
        "AIRFLOW_HOME": str(airflow_home),
        "PATH": f"{bin_folder}{os.pathsep}{inherited['PATH']}",  # Airflow 2 searches gunicorn there
        "PYTHONUNBUFFERED": "1",
    }
    return {**inherited, **own, **_coverage_variables(), **variables, **extra}


def _coverage_variables() -> dict[str, str]:
    """Return the variables that turn on coverage in a deployment's processes, if `make test` measures it."""
    if "MEASURE_DEPLOYMENTS" not in os.environ:
        return {}
    return {"COVERAGE_PROCESS_START": str(ROOT / "dev" / "coverage.ini"), "COVERAGE_FILE": str(ROOT / ".coverage")}


Settings = dict[tuple[str, str], str]


def _common(airflow_home: Path, database: str, ports: Ports, keys: Keys) -> Settings:
    return {
        ("core", "executor"): "LocalExecutor",
        ("core", "parallelism"): "16",
        ("core", "load_examples"): "False",
        ("core", "dags_folder"): str(airflow_home / "dags"),
        ("core", "dags_are_paused_at_creation"): "False",
        ("core", "fernet_key"): keys.fernet_key,
        ("database", "sql_alchemy_conn"): database,
        ("database", "load_default_connections"): "False",
        ("logging", "base_log_folder"): str(airflow_home / "logs"),
        ("logging", "colored_console_log"): "False",
        ("logging", "trigger_log_server_port"): str(ports.trigger_logs),
        ("logging", "worker_log_server_port"): str(ports.worker_logs),
        ("usage_data_collection", "enabled"): "False",
        # Short intervals, so that a test waits for seconds rather than for half a minute.
        ("scheduler", "scheduler_idle_sleep_time"): "0.5",
        ("scheduler", "job_heartbeat_sec"): "2",
        ("triggerer", "job_heartbeat_sec"): "2",
        ("triggerer", "triggerer_health_check_threshold"): "10",
    }


def _airflow_3(airflow_home: Path, database: str, ports: Ports, keys: Keys) -> Settings:
    base_url = f"http://localhost:{ports.api}"
    return {
        ("core", "execution_api_server_url"): f"{base_url}/execution/",
        ("core", "auth_manager"): ("airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"),
        ("core", "simple_auth_manager_users"): ",".join(f"{user}:{role}" for user, role in USERS.items()),
        ("core", "simple_auth_manager_passwords_file"): str(airflow_home / PASSWORDS_FILE),
        ("database", "sql_alchemy_conn_async"): database.replace("psycopg2", "asyncpg"),
        ("api", "base_url"): base_url,
        ("api", "host"): "localhost",
        ("api", "port"): str(ports.api),
        ("api", "workers"): "1",
        ("api", "secret_key"): keys.secret_key,
        ("api_auth", "jwt_secret"): keys.jwt_secret,
        ("dag_processor", "refresh_interval"): "1",
        ("dag_processor", "bundle_refresh_check_interval"): "1",
    }


def _airflow_2(airflow_home: Path, database: str, ports: Ports, keys: Keys) -> Settings:
    return {
        ("api", "auth_backends"): "airflow.api.auth.backend.basic_auth,airflow.api.auth.backend.session",
        ("core", "auth_manager"): "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        ("webserver", "base_url"): f"http://localhost:{ports.api}",
        ("webserver", "web_server_host"): "localhost",
        ("webserver", "web_server_port"): str(ports.api),
        ("webserver", "workers"): "1",
        # The webserver's monitor can lose count of its workers and then ends a healthy webserver (Airflow 2.11.2).
        ("webserver", "web_server_master_timeout"): "0",
        ("webserver", "secret_key"): keys.secret_key,
        ("webserver", "expose_config"): "False",
        ("scheduler", "dag_dir_list_interval"): "1",
    }
