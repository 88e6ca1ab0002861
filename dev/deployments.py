"""
Start and stop real Airflow deployments on this machine.

    with running(TRIGGERING, TARGET) as (triggering, target):
        target.wait_for_dags("remote_report")
        target.request("POST", "dags/remote_report/dagRuns", json={"logical_date": None})

Each deployment has its own Python environment (`dev/environments.py`), PostgreSQL database, ports, and AIRFLOW_HOME
under `.build/run/`, which is kept until the next start, because it contains the logs. All processes are supervised
(`dev/processes.py`): they end with their caller, even after `kill -9`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import requests

from dev import database, environments, settings
from dev.processes import SupervisedProcess, free_ports, reserve_port
from dev.rest_api import POLL_INTERVAL_SECONDS, DeploymentError, RestApi

__all__ = ["TARGET", "TARGET_V1", "TRIGGERING", "Deployment", "DeploymentError", "running"]

RUN = environments.BUILD / "run"
DEV = Path(__file__).resolve().parent

START_TIMEOUT_SECONDS = 240.0  # a busy machine with a cold disk needs about half of it
HEALTH_TIMEOUT_SECONDS = 3.0

# The components of a deployment beside its database, by major version of Airflow: our name, and Airflow's command.
COMMANDS = {
    3: {
        "api-server": "api-server",
        "scheduler": "scheduler",
        "dag-processor": "dag-processor",
        "triggerer": "triggerer",
    },
    2: {"api-server": "webserver", "scheduler": "scheduler", "triggerer": "triggerer"},
}

Progress = Callable[["Deployment", str], None]


@dataclass(eq=False)
class Deployment(RestApi):
    """
    One Airflow deployment with a REST API.

    `replace(TARGET, dags=[...])` makes a standard deployment with other dags.

    :param name: its name in messages and paths
    :param environment: its Python environment, a key of `environments.ENVIRONMENTS`
    :param port: the port of REST API and UI. If it is in use, the next free port is used
    :param dags: Python files, and folders of Python files (without subfolders), copied into the dags folder
    :param env: additional environment variables of all its processes, such as `AIRFLOW_CONN_...`
    """

    name: str
    environment: str
    port: int
    dags: Sequence[Path] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    username: str = "admin"
    password: str = "admin"

    _keys: settings.Keys = field(default_factory=settings.Keys, init=False, repr=False)
    _reservation: IO[str] | None = field(default=None, init=False, repr=False)
    _log_ports: list[int] = field(default_factory=list, init=False, repr=False)
    _processes: dict[str, SupervisedProcess] = field(default_factory=dict, init=False, repr=False)
    _has_tables: bool = field(default=False, init=False, repr=False)
    _tokens: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    @property
    def airflow_version(self) -> str:
        return environments.ENVIRONMENTS[self.environment].airflow

    @property
    def components(self) -> tuple[str, ...]:
        """The names of its components, as in Airflow 3 (the `api-server` of Airflow 2 is its webserver)."""
        return ("database", *COMMANDS[self.airflow_major])

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def airflow_home(self) -> Path:
        return RUN / f"{self.name}-{self.port}"

    @property
    def dags_folder(self) -> Path:
        return self.airflow_home / "dags"

    @property
    def database_address(self) -> str:
        """The SQLAlchemy address of its PostgreSQL database, for psycopg2. Available while the database runs."""
        return self._address_file.read_text()

    def log(self, component: str) -> Path:
        """Return the file with the console output of a component."""
        return self.airflow_home / "console" / f"{component}.log"

    def write_command(self) -> Path:
        """
        Write a script that runs Airflow's command line with the settings of this deployment.

        The script contains the deployment's secrets and only works while the database runs.

        :returns: the path of the script
        """
        script = self.airflow_home / "airflow"
        script.touch(mode=0o700)
        variables = [item for item in self._environ().items() if item not in os.environ.items()]
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables]
        script.write_text("\n".join(["#!/bin/sh", *lines, 'exec python -m airflow "$@"', ""]))
        return script

    def start(self, *components: str) -> None:
        """
        Start these components (default: all) unless they run, and wait until they are healthy.

        :raises DeploymentError: a component does not become healthy
        """
        for _ in self.start_steps(*components):
            time.sleep(POLL_INTERVAL_SECONDS)

    def stop(self, *components: str) -> None:
        """Stop these components (default: all). Data, port and AIRFLOW_HOME are kept for `start`."""
        self.request_stop(*components)
        names = [name for name in self._processes if name in (components or self._processes)]
        for name in sorted(names, key="database".__eq__):  # the database last
            process = self._processes[name]
            process.request_stop()
            process.wait()
            del self._processes[name]

    def request_stop(self, *components: str) -> None:
        """Request these components (default: all) to end, without waiting. The database, which others need, goes on."""
        for name, process in self._processes.items():
            if name != "database" and name in (components or self._processes):
                process.request_stop()

    def close(self) -> None:
        """Stop all components and release the port."""
        self.stop()
        self._remove_database_folder()
        if self._reservation:
            self._reservation.close()
            self._reservation = None

    def restart(self, *components: str) -> None:
        """Stop and start these components (default: all)."""
        self.stop(*components)
        self.start(*components)

    def start_second(self, component: str, *options: str) -> str:
        """
        Start a second process of a component, without waiting until it is healthy.

        :param options: of Airflow's command
        :returns: the name of the process, for `stop`, `kill` and `pids`
        """
        name = f"second-{component}"
        self._run(name, self.environment, "-m", "airflow", COMMANDS[self.airflow_major][component], *options)
        return name

    def kill(self, component: str) -> None:
        """Kill the processes of a component with SIGKILL, as the loss of its machine would."""
        process = self._processes.pop(component)
        process.kill()
        process.wait()

    def pids(self, component: str) -> list[int]:
        """Return the process ids of a component, the first started one first."""
        return self._processes[component].pids()

    def cpu_seconds(self, component: str) -> float:
        """Return the processor time of a component since its start, including that of running and ended children."""
        return self._processes[component].cpu_seconds()

    def start_steps(self, *components: str) -> Iterator[str]:
        """
        Start these components (default: all), and yield the name of one that is not ready until all are healthy.

        This is a generator, so that several deployments can start at the same time without threads: `stop` then
        knows every process, even after Ctrl-C.

        :raises DeploymentError: a component ended, or is not healthy in time
        """
        if self._reservation is None:
            self._prepare()
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        for waiting_for in self._start_in_order(components or self.components):
            yield waiting_for
            self._check_alive()
            if time.monotonic() > deadline:
                raise self._error(f"its {waiting_for} is not ready after {START_TIMEOUT_SECONDS:.0f} s", waiting_for)

    def _check_alive(self) -> None:
        for name, process in self._processes.items():
            succeeded = process.exit_code == 0 and name not in self.components
            if process.exit_code is not None and not succeeded:
                raise self._error(f"its {name} ended with exit code {process.exit_code}", name)

    def _is_alive(self, name: str) -> bool:
        return name in self._processes and self._processes[name].exit_code is None

    def _error(self, reason: str, name: str) -> DeploymentError:
        last_lines = self._processes[name].last_lines() if name in self._processes else ""
        return DeploymentError(
            f"{self.name} (Airflow {self.airflow_version}) does not run: {reason}. "
            f"The last lines of {self.log(name)}:\n{last_lines}"
        )

    def _prepare(self) -> None:
        """Reserve a port, and create an AIRFLOW_HOME that contains only the dags."""
        self.port, self._reservation = reserve_port(self.port, RUN)
        self._log_ports = free_ports(2)
        shutil.rmtree(self.airflow_home, ignore_errors=True)
        self.dags_folder.mkdir(parents=True)
        self._remove_database_folder()  # remains of a run that was killed
        self.log("").parent.mkdir()
        (self.airflow_home / settings.PASSWORDS_FILE).write_text(settings.PASSWORDS)
        self._has_tables = False
        self._tokens.clear()
        for source in self.dags:
            for file in sorted(source.glob("*.py")) if source.is_dir() else [source]:
                shutil.copy(file, self.dags_folder)

    def _start_in_order(self, components: Sequence[str]) -> Iterator[str]:
        """Start components in the order of their dependencies; yield the name of one that is not ready yet."""
        components = [name for name in components if not self._is_alive(name)]
        if "database" in components:
            yield from self._start_database()
        if not self._has_tables:
            yield from self._run_to_completion("migration", "-m", "airflow", "db", "migrate")
            if self.airflow_major == 2:
                users = [f"{user}:{role}" for user, role in settings.USERS.items()]
                yield from self._run_to_completion("users", str(DEV / "users_v1.py"), *users)
            self._has_tables = True
        commands = {name: command for name, command in COMMANDS[self.airflow_major].items() if name in components}
        for name, command in commands.items():
            self._run(name, self.environment, "-m", "airflow", command)
        while waiting_for := self._unhealthy(commands):
            yield waiting_for

    def _start_database(self) -> Iterator[str]:
        self._address_file.unlink(missing_ok=True)
        self._run(
            "database",
            "triggering",
            str(DEV / "database.py"),
            str(database.folder_for(self.airflow_home)),
            str(self._address_file),
        )
        while not self._address_file.exists():
            yield "database"

    def _remove_database_folder(self) -> None:
        """Remove the folder of the database, if it is not the AIRFLOW_HOME."""
        if self.airflow_home.exists() and (folder := database.folder_for(self.airflow_home)) != self.airflow_home:
            shutil.rmtree(folder)

    def _run_to_completion(self, name: str, *arguments: str) -> Iterator[str]:
        """Run a program in the deployment's environment; yield its name until it has succeeded."""
        process = self._run(name, self.environment, *arguments)
        while process.exit_code != 0:
            yield name
        del self._processes[name]

    def _run(self, name: str, environment: str, *arguments: str) -> SupervisedProcess:
        assert self._reservation, "the deployment has not been started"
        process = SupervisedProcess(
            [environments.python(environment), *arguments], self._environ(), self.log(name), self._reservation
        )
        self._processes[name] = process
        return process

    @property
    def _address_file(self) -> Path:
        return self.airflow_home / "database.address"

    def _environ(self) -> dict[str, str]:
        address = self.database_address if self._address_file.exists() else ""
        bin_folder = environments.python(self.environment).parent
        ports = settings.Ports(self.port, *self._log_ports)
        return settings.environ(
            self.airflow_version, bin_folder, self.airflow_home, address, ports, self._keys, self.env
        )

    def _unhealthy(self, components: Iterable[str]) -> str | None:
        """Return the first of these components that is not ready yet; None if all are ready."""
        if not self._is_alive("api-server"):
            return None  # stopped on purpose; only the API server reports health
        path = f"{self.api}/monitor/health" if self.airflow_major == 3 else "/health"
        try:
            response = requests.get(f"{self.url}{path}", timeout=HEALTH_TIMEOUT_SECONDS)
            response.raise_for_status()
            health = response.json()
        except requests.RequestException:
            return "api-server"
        for name in components:
            if name != "api-server" and not self._has_recent_heartbeat(name, health):
                return name
        return None

    def _has_recent_heartbeat(self, component: str, health: Any) -> bool:
        """Return whether a component sent a heartbeat since its start; the latest one can be from an earlier start."""
        key = component.replace("-", "_")
        heartbeat = health[key][f"latest_{key}_heartbeat"]
        started = self._processes[component].started
        return heartbeat is not None and datetime.fromisoformat(heartbeat.replace("Z", "+00:00")) > started


@contextmanager
def running(*deployments: Deployment, progress: Progress | None = None) -> Iterator[tuple[Deployment, ...]]:
    """
    Run these deployments for the duration of the `with` block, which begins when all are healthy.

    :param progress: called repeatedly with each deployment and the component that it waits for, or "healthy"
    :raises DeploymentError: a deployment does not start
    """
    try:
        start_steps = {deployment: deployment.start_steps() for deployment in deployments}
        while start_steps:
            for deployment in list(start_steps):
                waiting_for = next(start_steps[deployment], "healthy")
                if waiting_for == "healthy":
                    del start_steps[deployment]
                if progress:
                    progress(deployment, waiting_for)
            time.sleep(POLL_INTERVAL_SECONDS)
        yield deployments
    finally:
        for deployment in deployments:
            deployment.request_stop()
        for deployment in deployments:
            deployment.close()


TRIGGERING = Deployment("triggering", "triggering", 8080)
TARGET = Deployment("target", "target", 8081)
TARGET_V1 = Deployment("target-v1", "target-v1", 8082)
