"""
Start and stop real Airflow deployments on this machine.

    with running(TRIGGERING, TARGET) as (triggering, target):
        target.wait_for_dags("remote_report")
        target.request("POST", "dags/remote_report/dagRuns", json={"logical_date": None})

Each has an environment of its own (`dev/environments.py`), a PostgreSQL database, ports, and a home under
`.build/run/`, which is kept until the next start for the sake of its logs. Every process is on a leash
(`dev/processes.py`): when the caller ends, even by `kill -9`, none is left.
"""

from __future__ import annotations

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
from dev.rest_api import POLL_INTERVAL, DeploymentError, RestApi

__all__ = ["TARGET", "TARGET_V1", "TRIGGERING", "Deployment", "DeploymentError", "running"]

RUN = environments.BUILD / "run"
DEV = Path(__file__).resolve().parent

START_TIMEOUT = 240.0  # seconds; a busy machine with a cold disk needs about half of it
HEALTH_TIMEOUT = 3.0

# What a deployment is made of beside its database, by generation: our name, and Airflow's command.
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
    One Airflow with a REST API.

    To use one of the standard ones with dags of your own: `replace(TARGET, dags=[...])`.

    :param name: what people and folders call it
    :param environment: the environment that it runs in, a key of `environments.ENVIRONMENTS`
    :param port: of REST API and UI; where it is taken, the next free one is used instead
    :param dags: files, or folders whose files (not those of subfolders), copied into its dags folder
    :param env: further environment variables for all its processes, such as `AIRFLOW_CONN_...`
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
        """Its processes, by their names in Airflow 3 (the `api-server` of Airflow 2 is its webserver)."""
        return ("database", *COMMANDS[self.generation])

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def home(self) -> Path:
        return RUN / f"{self.name}-{self.port}"

    @property
    def dags_folder(self) -> Path:
        return self.home / "dags"

    @property
    def database_address(self) -> str:
        """SQLAlchemy address of its PostgreSQL database, for psycopg2; once it runs."""
        return self._address_file.read_text()

    def log(self, component: str) -> Path:
        """What a component has written to its console."""
        return self.home / "console" / f"{component}.log"

    def start(self, *components: str) -> None:
        """
        Start what was stopped, all of it or these components, and wait until it is healthy.

        :raises DeploymentError: it does not become healthy
        """
        for _ in self.starting(*components):
            time.sleep(POLL_INTERVAL)

    def stop(self, *components: str) -> None:
        """Stop all of it or these components. Database, port and home stay as they are, for `start`."""
        self.let_go(*components)
        names = [name for name in self._processes if name in (components or self._processes)]
        for name in sorted(names, key="database".__eq__):  # the database last
            process = self._processes[name]
            process.let_go()
            process.wait()
            del self._processes[name]

    def let_go(self, *components: str) -> None:
        """Tell all of it or these components to end, without waiting. The database stays, for the others' sake."""
        for name, process in self._processes.items():
            if name != "database" and name in (components or self._processes):
                process.let_go()

    def close(self) -> None:
        """Stop all of it, and give the port back."""
        self.stop()
        self._remove_database_elsewhere()
        if self._reservation:
            self._reservation.close()
            self._reservation = None

    def restart(self, *components: str) -> None:
        """Stop and start all of it or these components."""
        self.stop(*components)
        self.start(*components)

    def pids(self, component: str) -> list[int]:
        """The processes of a component, the one that was started first at the front."""
        return self._processes[component].pids()

    def cpu_seconds(self, component: str) -> float:
        """The processor time used by a component since it was started, children included, also ended ones."""
        return self._processes[component].cpu_seconds()

    def starting(self, *components: str) -> Iterator[str]:
        """
        Start all of it or these components; yield what is being waited for, until all are healthy.

        A generator, so that several deployments start at the same time without threads: whenever Ctrl-C
        comes, `stop` knows every process.

        :raises DeploymentError: one ended, or is not healthy in time
        """
        if self._reservation is None:
            self._prepare()
        deadline = time.monotonic() + START_TIMEOUT
        for waiting_for in self._stages(components or self.components):
            yield waiting_for
            self._check_alive()
            if time.monotonic() > deadline:
                raise self._error(f"its {waiting_for} is not ready after {START_TIMEOUT:.0f} s", waiting_for)

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
        """Take a port, and make an empty home with the dags in it."""
        self.port, self._reservation = reserve_port(self.port, RUN)
        self._log_ports = free_ports(2)
        shutil.rmtree(self.home, ignore_errors=True)
        self.dags_folder.mkdir(parents=True)
        self._remove_database_elsewhere()  # what a run that was killed has left
        self.log("").parent.mkdir()
        (self.home / settings.PASSWORDS_FILE).write_text(settings.PASSWORDS)
        self._has_tables = False
        self._tokens.clear()
        for source in self.dags:
            for file in sorted(source.glob("*.py")) if source.is_dir() else [source]:
                shutil.copy(file, self.dags_folder)

    def _stages(self, components: Sequence[str]) -> Iterator[str]:
        """Start one after the other what needs the one before; yield whatever is not ready yet."""
        components = [name for name in components if not self._is_alive(name)]
        if "database" in components:
            yield from self._database_starting()
        if not self._has_tables:
            yield from self._to_its_end("migration", "-m", "airflow", "db", "migrate")
            if self.generation == 2:
                users = [f"{user}:{role}" for user, role in settings.USERS.items()]
                yield from self._to_its_end("users", str(DEV / "users_v1.py"), *users)
            self._has_tables = True
        commands = {name: command for name, command in COMMANDS[self.generation].items() if name in components}
        for name, command in commands.items():
            self._run(name, self.environment, "-m", "airflow", command)
        while waiting_for := self._unhealthy(commands):
            yield waiting_for

    def _database_starting(self) -> Iterator[str]:
        self._address_file.unlink(missing_ok=True)
        self._run(
            "database",
            "triggering",
            str(DEV / "database.py"),
            str(database.folder_for(self.home)),
            str(self._address_file),
        )
        while not self._address_file.exists():
            yield "database"

    def _remove_database_elsewhere(self) -> None:
        """Remove the folder of its database, if that is not its home."""
        if self.home.exists() and (folder := database.folder_for(self.home)) != self.home:
            shutil.rmtree(folder)

    def _to_its_end(self, name: str, *arguments: str) -> Iterator[str]:
        """Run a program of the deployment's environment that must end before anything else goes on."""
        process = self._run(name, self.environment, *arguments)
        while process.exit_code != 0:
            yield name
        del self._processes[name]

    def _run(self, name: str, environment: str, *arguments: str) -> SupervisedProcess:
        assert self._reservation, "it has not been started"
        process = SupervisedProcess(
            [environments.python(environment), *arguments], self._environ(), self.log(name), self._reservation
        )
        self._processes[name] = process
        return process

    @property
    def _address_file(self) -> Path:
        return self.home / "database.address"

    def _environ(self) -> dict[str, str]:
        address = self.database_address if self._address_file.exists() else ""
        bin_folder = environments.python(self.environment).parent
        ports = settings.Ports(self.port, *self._log_ports)
        return settings.environ(self.airflow_version, bin_folder, self.home, address, ports, self._keys, self.env)

    def _unhealthy(self, components: Iterable[str]) -> str | None:
        """The first of these components that is not ready yet."""
        if not self._is_alive("api-server"):
            return None  # it was stopped on purpose, and nobody else can be asked
        path = f"{self.api}/monitor/health" if self.generation == 3 else "/health"
        try:
            response = requests.get(f"{self.url}{path}", timeout=HEALTH_TIMEOUT)
            response.raise_for_status()
            health = response.json()
        except requests.RequestException:
            return "api-server"
        for name in components:
            if name != "api-server" and not self._is_beating(name, health):
                return name
        return None

    def _is_beating(self, component: str, health: Any) -> bool:
        """Whether a component has given a sign of life since it was started; before, Airflow may show an old one."""
        key = component.replace("-", "_")
        heartbeat = health[key][f"latest_{key}_heartbeat"]
        started = self._processes[component].started
        return heartbeat is not None and datetime.fromisoformat(heartbeat.replace("Z", "+00:00")) > started


@contextmanager
def running(*deployments: Deployment, progress: Progress | None = None) -> Iterator[tuple[Deployment, ...]]:
    """
    Have these deployments run, all healthy, for as long as the `with` block lasts.

    :param progress: is told again and again what each is waiting for; "healthy" when it waits for nothing
    :raises DeploymentError: one of them does not start
    """
    try:
        starting = {deployment: deployment.starting() for deployment in deployments}
        while starting:
            for deployment in list(starting):
                waiting_for = next(starting[deployment], "healthy")
                if waiting_for == "healthy":
                    del starting[deployment]
                if progress:
                    progress(deployment, waiting_for)
            time.sleep(POLL_INTERVAL)
        yield deployments
    finally:
        for deployment in deployments:
            deployment.let_go()
        for deployment in deployments:
            deployment.close()


TRIGGERING = Deployment("triggering", "triggering", 8080)
TARGET = Deployment("target", "target", 8081)
TARGET_V1 = Deployment("target-v1", "target-v1", 8082)
