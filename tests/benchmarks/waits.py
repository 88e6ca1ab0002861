"""The cost of waiting for client and target: requests per poll interval, and processor time."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from dev.deployments import TARGET, Deployment, running
from tests.benchmarks.access_log import AccessLog
from tests.benchmarks.figures import Figure, Goal, Plot, Table, bars
from tests.benchmarks.programs import ProgramClient, program
from tests.benchmarks.seeding import DAG_IDS, queue_unfinished_runs, seed
from tests.benchmarks.sizes import POKE_INTERVAL_SECONDS, Sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.benchmarks.pair import SharedDeployments

TITLE = "Waiting while nothing happens"
DAGS = Path(__file__).parent / "dags" / "target"

OURS, HTTP, EXTERNAL = "this package", "HttpAsyncHook", "ExternalDeploymentSensor"
WAYS = {OURS: "this_package", HTTP: "http_async_hook", EXTERNAL: "external_deployment_sensor"}
JOINING_TIMEOUT_SECONDS = 240.0
JOINING_POLL_SECONDS = 0.2
SETTLING_SECONDS = 2 * POKE_INTERVAL_SECONDS  # between the joining of all waits and the window

# With the default of 15 database connections, the many requests of the peers wait for a connection and fail with 500
# after half a minute. That would be measured instead of the cost of a check.
LARGE_CONNECTION_POOL = {"AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "80"}

REAL, QUEUED, STUB, IDLE = "Airflow 3.3.2", "Airflow 3.3.2, queued runs", "stub", "idle"


@dataclass(frozen=True)
class WaitCosts:
    """
    The cost of a number of waits in one way.

    :param target: `REAL`, `QUEUED` (the same target, whose runs stay queued instead of running) or `STUB`
    :param way: one of `WAYS`, or `IDLE` for no waits
    :param joining: number of requests until each wait had been answered once
    :param settling: number of requests after that and before the window
    :param requests: number of requests in the window
    :param failed_checks: number of checks that failed in the window
    :param client, server, database: processor seconds in the window
    :param memory: memory of the client in MiB
    """

    target: str
    way: str
    waits: int
    window: float
    joining: int = 0
    settling: int = 0
    requests: int = 0
    failed_checks: int = 0
    client: float = 0
    server: float = 0
    database: float = 0
    memory: float = 0

    @property
    def per_interval(self) -> float:
        return self.requests * POKE_INTERVAL_SECONDS / self.window

    def per_minute(self, seconds: float) -> float:
        return seconds * 60 / self.window


class RequestCounter(ABC):
    """A target that counts requests."""

    name: str

    @abstractmethod
    def connections(self) -> dict[str, dict[str, Any]]: ...

    @abstractmethod
    def refresh(self) -> None:
        """Drop the requests that an earlier client has left."""

    @abstractmethod
    def count(self) -> int:
        """Return the number of requests answered since the start."""

    def cpu(self) -> tuple[float, float]:
        """Return the processor seconds of server and database."""
        return 0, 0


class AirflowCounter(RequestCounter):
    def __init__(self, deployment: Deployment, name: str) -> None:
        self.name = name
        self._deployment = deployment
        self._log = AccessLog(deployment)

    def refresh(self) -> None:
        # After a client has left hundreds of requests, the API server can stop answering.
        self._deployment.restart("api-server")

    def connections(self) -> dict[str, dict[str, Any]]:
        return {"http_conn": self._deployment.connection("http"), "astro_conn": self._deployment.connection("astro")}

    def count(self) -> int:
        return self._log.count()

    def cpu(self) -> tuple[float, float]:
        return self._deployment.cpu_seconds("api-server"), self._deployment.cpu_seconds("database")


class StubCounter(RequestCounter):
    name = STUB

    def __init__(self, port: int) -> None:
        self._url = f"http://localhost:{port}"

    def refresh(self) -> None:
        """The stub drops them by itself."""

    def connections(self) -> dict[str, dict[str, Any]]:
        extra = {"Content-Type": "application/json", "Authorization": "Bearer stub-token"}
        http = {"conn_type": "http", "host": self._url, "schema": "http", "extra": extra}
        return {"http_conn": http, "astro_conn": {"conn_type": "astro", "host": self._url, "password": "stub-token"}}

    def count(self) -> int:
        return int(requests.get(f"{self._url}/counted", timeout=60).json())


def measure(sizes: Sizes, progress: Callable[[str], None], _: SharedDeployments) -> list[WaitCosts]:
    rows = []
    with real_target(sizes, progress) as target:
        running_runs = AirflowCounter(target, REAL)
        rows.append(idle(running_runs, sizes.idle_window))
        for count, window in zip(sizes.waits, sizes.windows, strict=True):
            rows += [waiting(running_runs, way, count, window, progress) for way in WAYS]
        queue_unfinished_runs(target)
        queued_runs, count, window = AirflowCounter(target, QUEUED), max(sizes.waits), max(sizes.windows)
        rows.append(waiting(queued_runs, OURS, count, window, progress))
    with program("stub", str(sizes.waits_on_stub)) as stub:
        stub_target = StubCounter(stub.read())
        for way in WAYS:
            window = sizes.stub_window if way == OURS else sizes.stub_window_of_peers
            rows.append(waiting(stub_target, way, sizes.waits_on_stub, window, progress))
    return rows


@contextmanager
def real_target(sizes: Sizes, progress: Callable[[str], None]) -> Iterator[Deployment]:
    progress("starting a target")
    with running(replace(TARGET, dags=[DAGS], env=LARGE_CONNECTION_POOL)) as (deployment,):
        deployment.wait_for_dags(*DAG_IDS)
        deployment.stop("scheduler", "dag-processor", "triggerer")  # only the measured requests must access the runs
        progress(f"writing {sizes.finished_runs:,} finished runs")
        seed(deployment, finished=sizes.finished_runs, unfinished=max(sizes.waits))
        yield deployment


def idle(target: RequestCounter, window: float) -> WaitCosts:
    began = target.cpu()
    time.sleep(window)
    server, database = _difference(target.cpu(), began)
    return WaitCosts(target.name, IDLE, 0, window, server=server, database=database)


def waiting(target: RequestCounter, way: str, count: int, window: float, progress: Callable[[str], None]) -> WaitCosts:
    """Run a process that waits in one way, and measure its cost after all waits have joined."""
    progress(f"{target.name}: {count:,} waits, {way}")
    target.refresh()
    before = target.count()
    with program("waiting", WAYS[way], str(count), connections=target.connections()) as client:
        wait_until_joined(client, count)
        joined = target.count()
        time.sleep(SETTLING_SECONDS)
        settled = target.count()
        used, cpu, began = client.request(), target.cpu(), time.monotonic()
        time.sleep(window)
        server, database = _difference(target.cpu(), cpu)
        used_then = client.request()
        lasted = time.monotonic() - began
        row = WaitCosts(
            target.name,
            way,
            count,
            window=lasted,
            joining=joined - before,
            settling=settled - joined,
            requests=target.count() - settled,
            failed_checks=used_then["failed_checks"] - used["failed_checks"],
            client=used_then["cpu"] - used["cpu"],
            server=server,
            database=database,
            memory=used_then["memory"],
        )
    progress(f"  {row.joining} requests to join, {row.per_interval:.1f} requests per interval")
    return row


def wait_until_joined(client: ProgramClient, count: int) -> None:
    """Wait until each wait has been answered at least once."""
    deadline = time.monotonic() + JOINING_TIMEOUT_SECONDS
    while (answered := client.request()["answered"]) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{answered:.0f} of {count} waits have been answered in {JOINING_TIMEOUT_SECONDS:.0f} s")
        time.sleep(JOINING_POLL_SECONDS)


def _difference(now: tuple[float, float], then: tuple[float, float]) -> tuple[float, float]:
    return now[0] - then[0], now[1] - then[1]


METHOD = f"""
Each way of waiting runs in its own process with one asyncio loop, as in a triggerer, and waits for runs that stay
running, with a check every {POKE_INTERVAL_SECONDS:g} s. The target is an API server (one worker) with a PostgreSQL
database of {Sizes.finished_runs:,} finished runs of the past year. Requests are counted in the access log of the API
server. "Requests to join" are those until each wait has been answered once. All waits of this package join together,
ten minutes after they began in another triggerer: a wait of less than {Sizes.settled_age} s is checked more often, see
"Trigger and wait". The waits of the peers start evenly over one interval. The requests per interval and the processor
time are measured from {SETTLING_SECONDS:g} s after that. In the row "queued runs", the same runs are queued instead of
running. `HttpAsyncHook` is a trigger that gets its run with a new session at each check. `ExternalDeploymentSensor`
makes the requests of the trigger of this name in astronomer-providers, rebuilt from its source: the same, but it also
reads the connection at each check. CPU is the processor time of the client, server and database processes; that of
server and database is reduced by the idle figures, which are in the table of raw figures. If the peers make more
requests than the server can answer, the answered requests are counted, and the waits are checked late. The {STUB} is a
program that counts requests and responds that every run is running; it runs on the same machine as the client.
"""

LIMITATIONS = """
waits that end, and runs with task instances: the runs in the database have none. Client, server and database share the
machine, so a saturated server slows the clients of the peers down, too. The API server can open 80 database connections
instead of Airflow's default of 15, so that the requests of the peers do not wait for a connection.
"""


def figures(rows: Sequence[WaitCosts]) -> list[Figure]:
    real = _by_waits(rows, REAL)
    found = [_requests(by_way, f"{count:,} waits") for count, by_way in real.items()]
    found += [_requests(by_way, f"{count:,} waits, {STUB}") for count, by_way in _by_waits(rows, STUB).items()]
    queued = _by_waits(rows, QUEUED)
    found += [_requests(by_way, f"{count:,} waits for queued runs") for count, by_way in queued.items()]
    count, largest = max(real.items())
    joining = {way: row.joining for way, row in largest.items()}
    found.append(_joining(f"requests to join, {count:,} waits", joining.pop(OURS), joining))
    found += [_joining(f"requests to join, {count:,} waits for queued runs", by_way[OURS].joining, {})
              for count, by_way in queued.items()]  # fmt: skip
    idle_row = next(row for row in rows if row.way == IDLE)
    for part, goal in (("client", Goal(1 / 20, HTTP)), ("server", Goal(1 / 50, HTTP)), ("database", None)):
        idle_usage = _per_minute(idle_row, part)
        ours, *peers = (_per_minute(row, part) - idle_usage for row in largest.values())
        others = dict(zip((HTTP, EXTERNAL), peers, strict=True))
        found.append(Figure(f"{part} CPU, {count:,} waits", "s per minute", ours, others, goal))
    return found


def _requests(by_way: Mapping[str, WaitCosts], what: str) -> Figure:
    goal = Goal(2, below=True) if by_way[OURS].waits >= 1_000 else None  # one, plus on average less than one
    peers = {way: by_way[way].per_interval for way in (HTTP, EXTERNAL) if way in by_way}
    return Figure(f"requests per poll interval, {what}", "requests", by_way[OURS].per_interval, peers, goal)


def _joining(what: str, ours: float, peers: Mapping[str, float]) -> Figure:
    return Figure(what, "requests", ours, peers, Goal(25), digits=0)


def plots(rows: Sequence[WaitCosts]) -> list[Plot]:
    real, stub = _by_waits(rows, REAL), _by_waits(rows, STUB)
    labels = [*(f"{count:,} waits" for count in real), *(f"{count:,}, {STUB}" for count in stub)]
    all_groups = [*real.values(), *stub.values()]
    arrived = {way: [by_way[way].per_interval for by_way in all_groups] for way in WAYS}
    drawn = [bars("waits-requests", "Requests per poll interval", labels, arrived, log=True)]
    for part, groups in (("client", all_groups), ("server", list(real.values()))):
        used = {way: [_per_minute(by_way[way], part) for by_way in groups] for way in WAYS}
        title = f"Processor seconds per minute, {part}"
        drawn.append(bars(f"waits-{part}", title, labels[: len(groups)], used, log=True))
    return drawn


def table(rows: Sequence[WaitCosts]) -> Table:
    headings = ("target", "waits", "way", "window, s", "requests to join", "until the window",
                "requested per interval", "answered", "failed checks", "client CPU", "server CPU", "database CPU",
                "client memory, MiB")  # fmt: skip
    lines = []
    for row in rows:
        wanted = "" if row.way in (OURS, IDLE) else f"{row.waits:,}"
        cpu = [f"{_per_minute(row, part):.2f}" for part in ("client", "server", "database")]
        if row.target == STUB:
            cpu[1:] = ["", ""]
        requests_before = (f"{row.joining:,}", f"{row.settling:,}")
        lines.append([row.target, f"{row.waits:,}", row.way, f"{row.window:.0f}", *requests_before, wanted,
                      f"{row.per_interval:,.1f}", f"{row.failed_checks}", *cpu, f"{row.memory:.0f}"])  # fmt: skip
    return Table(headings, lines)


def _by_waits(rows: Sequence[WaitCosts], target: str) -> dict[int, dict[str, WaitCosts]]:
    found: dict[int, dict[str, WaitCosts]] = {}
    for row in rows:
        if row.target == target and row.way != IDLE:
            found.setdefault(row.waits, {})[row.way] = row
    return found


def _per_minute(row: WaitCosts, part: str) -> float:
    return row.per_minute({"client": row.client, "server": row.server, "database": row.database}[part])
