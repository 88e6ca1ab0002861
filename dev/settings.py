"""
How a deployment of ours is configured: environment variables, by generation of Airflow.

Nothing here starts anything. `docker-compose.yaml` says the same for containers, and a test compares the two.
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

# Throw-away users: name -> role. The password is the name. They guard nothing but local examples.
USERS = {"admin": "admin", "viewer": "viewer"}
PASSWORDS = json.dumps({user: user for user in USERS})
PASSWORDS_FILE = "passwords.json"  # in the home of a deployment of Airflow 3

# The caller's own Airflow and Python settings are none of a deployment's business.
CALLERS_OWN = ("AIRFLOW", "PYTHON", "VIRTUAL_ENV", "COV_CORE", "COVERAGE", "PYTEST")


@dataclass(frozen=True)
class Keys:
    """What the processes of one deployment have in common and nobody else knows."""

    fernet_key: str = field(default_factory=lambda: base64.urlsafe_b64encode(os.urandom(32)).decode())
    jwt_secret: str = field(default_factory=lambda: secrets.token_hex(32))
    secret_key: str = field(default_factory=lambda: secrets.token_hex(32))


@dataclass(frozen=True)
class Ports:
    """The TCP ports of one deployment: REST API, logs of running triggers, logs of running tasks."""

    api: int
    trigger_logs: int
    worker_logs: int


def environ(
    airflow_version: str,
    bin_folder: Path,
    home: Path,
    database: str,
    ports: Ports,
    keys: Keys,
    extra: Mapping[str, str],
) -> dict[str, str]:
    """
    The whole environment of a deployment's processes.

    :param bin_folder: of its Python environment
    :param database: SQLAlchemy address of its PostgreSQL database, for psycopg2
    :param extra: further variables, stronger than those made here
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(CALLERS_OWN)}
    generation = _airflow_2 if airflow_version.startswith("2.") else _airflow_3
    settings = _common(home, database, ports, keys) | generation(home, database, ports, keys)
    variables = {f"AIRFLOW__{section.upper()}__{key.upper()}": value for (section, key), value in settings.items()}
    own = {
        "AIRFLOW_HOME": str(home),
        "PATH": f"{bin_folder}{os.pathsep}{inherited['PATH']}",  # Airflow 2 looks for gunicorn there
        "PYTHONUNBUFFERED": "1",
    }
    return {**inherited, **own, **_measured(), **variables, **extra}


def _measured() -> dict[str, str]:
    """What has a deployment's processes count as well when `make test` measures which code is run."""
    if "MEASURE_DEPLOYMENTS" not in os.environ:
        return {}
    return {"COVERAGE_PROCESS_START": str(ROOT / "dev" / "coverage.ini"), "COVERAGE_FILE": str(ROOT / ".coverage")}


Settings = dict[tuple[str, str], str]


def _common(home: Path, database: str, ports: Ports, keys: Keys) -> Settings:
    return {
        ("core", "executor"): "LocalExecutor",
        ("core", "parallelism"): "16",
        ("core", "load_examples"): "False",
        ("core", "dags_folder"): str(home / "dags"),
        ("core", "dags_are_paused_at_creation"): "False",
        ("core", "fernet_key"): keys.fernet_key,
        ("database", "sql_alchemy_conn"): database,
        ("database", "load_default_connections"): "False",
        ("logging", "base_log_folder"): str(home / "logs"),
        ("logging", "colored_console_log"): "False",
        ("logging", "trigger_log_server_port"): str(ports.trigger_logs),
        ("logging", "worker_log_server_port"): str(ports.worker_logs),
        ("usage_data_collection", "enabled"): "False",
        # What a person or a test waits for should take a second or two, not half a minute.
        ("scheduler", "scheduler_idle_sleep_time"): "0.5",
        ("scheduler", "job_heartbeat_sec"): "2",
        ("triggerer", "job_heartbeat_sec"): "2",
        ("triggerer", "triggerer_health_check_threshold"): "10",
    }


def _airflow_3(home: Path, database: str, ports: Ports, keys: Keys) -> Settings:
    base_url = f"http://localhost:{ports.api}"
    return {
        ("core", "execution_api_server_url"): f"{base_url}/execution/",
        ("core", "auth_manager"): ("airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"),
        ("core", "simple_auth_manager_users"): ",".join(f"{user}:{role}" for user, role in USERS.items()),
        ("core", "simple_auth_manager_passwords_file"): str(home / PASSWORDS_FILE),
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


def _airflow_2(home: Path, database: str, ports: Ports, keys: Keys) -> Settings:
    return {
        ("api", "auth_backends"): "airflow.api.auth.backend.basic_auth,airflow.api.auth.backend.session",
        ("core", "auth_manager"): "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        ("webserver", "base_url"): f"http://localhost:{ports.api}",
        ("webserver", "web_server_host"): "localhost",
        ("webserver", "web_server_port"): str(ports.api),
        ("webserver", "workers"): "1",
        # The monitor of the webserver can lose count of its workers, and then ends a webserver that answers (2.11.2).
        ("webserver", "web_server_master_timeout"): "0",
        ("webserver", "secret_key"): keys.secret_key,
        ("webserver", "expose_config"): "False",
        ("scheduler", "dag_dir_list_interval"): "1",
    }
