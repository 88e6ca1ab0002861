"""What waits cost client and target while nothing happens: requests per poll interval, processor time."""

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
from tests.benchmarks.programs import Talk, program
from tests.benchmarks.seeding import DAG_IDS, seed
from tests.benchmarks.sizes import POKE_INTERVAL, Sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.benchmarks.pair import Deployments

TITLE = "Waiting while nothing happens"
DAGS = Path(__file__).parent / "dags" / "target"

OURS, HTTP, EXTERNAL = "this package", "HttpAsyncHook", "ExternalDeploymentSensor"
WAYS = {OURS: "this_package", HTTP: "http_async_hook", EXTERNAL: "external_deployment_sensor"}
FIRST_REQUESTS = {OURS: 1, HTTP: 1, EXTERNAL: 2}  # of each wait, before it goes on for ever
JOINING_TIMEOUT = 240.0  # seconds

# With the default of 15 database connections, the API server's requests, under as many of them as the peers make, wait
# for each other's, and are answered with 500 after half a minute: that would be measured, not what a look costs.
GENEROUS = {"AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "80"}

REAL, STUB, IDLE = "Airflow 3.3.2", "stub", "idle"


@dataclass(frozen=True)
class Row:
    """
    What so many waits cost in one way.

    :param target: `REAL`, or `STUB`
    :param way: one of `WAYS`, or `IDLE` for no waits at all
    :param joining: requests until all waits had asked once
    :param requests: that arrived in the window
    :param troubles: looks that failed in the window
    :param client, server, database: processor seconds in the window
    :param memory: of the client, MiB
    """

    target: str
    way: str
    waits: int
    window: float
    joining: int = 0
    requests: int = 0
    troubles: int = 0
    client: float = 0
    server: float = 0
    database: float = 0
    memory: float = 0

    @property
    def per_interval(self) -> float:
        return self.requests * POKE_INTERVAL / self.window

    def per_minute(self, seconds: float) -> float:
        return seconds * 60 / self.window


class Target(ABC):
    """Where requests arrive and are counted."""

    name: str

    @abstractmethod
    def connections(self) -> dict[str, dict[str, Any]]: ...

    @abstractmethod
    def refresh(self) -> None:
        """Forget the requests that a client before has left behind."""

    @abstractmethod
    def count(self) -> int:
        """How many requests have been answered since it was started."""

    def cpu(self) -> tuple[float, float]:
        """Processor seconds of server and database."""
        return 0, 0


class RealTarget(Target):
    name = REAL

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._log = AccessLog(deployment)

    def refresh(self) -> None:
        # Where a client goes away from hundreds of requests, the API server may answer nobody any more.
        self._deployment.restart("api-server")

    def connections(self) -> dict[str, dict[str, Any]]:
        return {"http_conn": self._deployment.connection("http"), "astro_conn": self._deployment.connection("astro")}

    def count(self) -> int:
        return self._log.count()

    def cpu(self) -> tuple[float, float]:
        return self._deployment.cpu_seconds("api-server"), self._deployment.cpu_seconds("database")


class StubTarget(Target):
    name = STUB

    def __init__(self, port: int) -> None:
        self._url = f"http://localhost:{port}"

    def refresh(self) -> None:
        """It forgets them by itself."""

    def connections(self) -> dict[str, dict[str, Any]]:
        extra = {"Content-Type": "application/json", "Authorization": "Bearer of-the-stub"}
        http = {"conn_type": "http", "host": self._url, "schema": "http", "extra": extra}
        return {"http_conn": http, "astro_conn": {"conn_type": "astro", "host": self._url, "password": "of-the-stub"}}

    def count(self) -> int:
        return int(requests.get(f"{self._url}/counted", timeout=60).json())


def measure(sizes: Sizes, say: Callable[[str], None], _: Deployments) -> list[Row]:
    rows = []
    with real_target(sizes, say) as target:
        rows.append(idle(target, sizes.idle_window))
        for count, window in zip(sizes.waits, sizes.windows, strict=True):
            rows += [waiting(target, way, count, window, say) for way in WAYS]
    with program("stub") as stub:
        target = StubTarget(stub.hear())
        rows += [waiting(target, way, sizes.waits_on_stub, sizes.stub_window, say) for way in WAYS]
    return rows


@contextmanager
def real_target(sizes: Sizes, say: Callable[[str], None]) -> Iterator[Target]:
    say("starting a target")
    with running(replace(TARGET, dags=[DAGS], env=GENEROUS)) as (deployment,):
        deployment.wait_for_dags(*DAG_IDS)
        deployment.stop("scheduler", "dag-processor", "triggerer")  # nothing touches the runs but what is measured
        say(f"writing {sizes.finished_runs:,} finished runs")
        seed(deployment, finished=sizes.finished_runs, running=max(sizes.waits))
        yield RealTarget(deployment)


def idle(target: Target, window: float) -> Row:
    began = target.cpu()
    time.sleep(window)
    server, database = _difference(target.cpu(), began)
    return Row(target.name, IDLE, 0, window, server=server, database=database)


def waiting(target: Target, way: str, count: int, window: float, say: Callable[[str], None]) -> Row:
    """Have a process of its own wait in one way; let all join, then watch for a while."""
    say(f"{target.name}: {count:,} waits, {way}")
    target.refresh()
    before = target.count()
    with program("waiting", WAYS[way], str(count), connections=target.connections()) as client:
        wait_until_joined(target, client, before + count * FIRST_REQUESTS[way])
        joined = target.count()
        used, cpu, began = client.ask(), target.cpu(), time.monotonic()
        time.sleep(window)
        server, database = _difference(target.cpu(), cpu)
        used_then = client.ask()
        lasted = time.monotonic() - began
        row = Row(
            target.name,
            way,
            count,
            window=lasted,
            joining=joined - before,
            requests=target.count() - joined,
            troubles=used_then["troubles"] - used["troubles"],
            client=used_then["cpu"] - used["cpu"],
            server=server,
            database=database,
            memory=used_then["memory"],
        )
    say(f"  {row.per_interval:.1f} requests per interval")
    return row


def wait_until_joined(target: Target, client: Talk, requests_by_then: int) -> None:
    """Wait until every wait has asked, and an interval more, so that the window holds none of that."""
    deadline = time.monotonic() + JOINING_TIMEOUT
    while target.count() < requests_by_then and time.monotonic() < deadline:
        client.ask()  # raises where it has ended
        time.sleep(1)
    time.sleep(POKE_INTERVAL)


def _difference(now: tuple[float, float], then: tuple[float, float]) -> tuple[float, float]:
    return now[0] - then[0], now[1] - then[1]


HOW = f"""
Each way of waiting runs in a process of its own, with one asyncio loop as in a triggerer, and waits for runs that
nobody ends, looking every {POKE_INTERVAL:g} s. The target is a real one: API server (one worker) and PostgreSQL,
whose database holds {Sizes.finished_runs:,} finished runs of the past year. Requests are counted in the API server's
access log, after all waits have joined. `HttpAsyncHook` is a trigger that gets its run with a session of its own at
each look; `ExternalDeploymentSensor` asks as astronomer-providers' trigger of that name does (the same, with a
connection read at each look), rebuilt from reading it. Waits begin evenly over one interval. Client CPU is the
process's own accounting, server and database CPU that of their processes; server figures are net of idle, which
stands below with the raw figures. Where the peers want more requests than the server can answer, its answers are what
is counted, and every wait is looked after later than it should be. The {STUB} is a program that only counts and says
"running"; it shares the machine with the client.
"""

NOT_SHOWN = """
waits that end, and runs with many task instances: those written into the database have none. Client, server and
database share the machine, so a saturated server slows the peers' clients down, too. The API server may open 80
database connections rather than Airflow's default of 15, so that the peers' requests need not wait for each other's.
"""


def figures(rows: Sequence[Row]) -> list[Figure]:
    real = _by_waits(rows, REAL)
    found = [_requests(of_all, f"{count:,} waits") for count, of_all in real.items()]
    found += [_requests(of_all, f"{count:,} waits, {STUB}") for count, of_all in _by_waits(rows, STUB).items()]
    count, most = max(real.items())
    idle_row = next(row for row in rows if row.way == IDLE)
    for part, goal in (("client", Goal(1 / 20, HTTP)), ("server", Goal(1 / 50, HTTP)), ("database", None)):
        of_idle = _per_minute(idle_row, part)
        ours, *peers = (_per_minute(row, part) - of_idle for row in most.values())
        others = dict(zip((HTTP, EXTERNAL), peers, strict=True))
        found.append(Figure(f"{part} CPU, {count:,} waits", "s per minute", ours, others, goal))
    return found


def _requests(of_all: Mapping[str, Row], what: str) -> Figure:
    goal = Goal(2, below=True) if of_all[OURS].waits >= 1_000 else None  # one, and on average below one more
    peers = {way: of_all[way].per_interval for way in (HTTP, EXTERNAL)}
    return Figure(f"requests per poll interval, {what}", "requests", of_all[OURS].per_interval, peers, goal)


def plots(rows: Sequence[Row]) -> list[Plot]:
    real, stub = _by_waits(rows, REAL), _by_waits(rows, STUB)
    labels = [*(f"{count:,} waits" for count in real), *(f"{count:,}, {STUB}" for count in stub)]
    everywhere = [*real.values(), *stub.values()]
    arrived = {way: [of_all[way].per_interval for of_all in everywhere] for way in WAYS}
    drawn = [bars("waits-requests", "Requests per poll interval", labels, arrived, log=True)]
    for part, of_all_rows in (("client", everywhere), ("server", list(real.values()))):
        used = {way: [_per_minute(of_all[way], part) for of_all in of_all_rows] for way in WAYS}
        title = f"Processor seconds per minute, {part}"
        drawn.append(bars(f"waits-{part}", title, labels[: len(of_all_rows)], used, log=True))
    return drawn


def table(rows: Sequence[Row]) -> Table:
    headings = ("target", "waits", "way", "window, s", "requests before", "wanted per interval", "answered",
                "looks failed", "client CPU", "server CPU", "database CPU", "client memory, MiB")  # fmt: skip
    lines = []
    for row in rows:
        end_states = "" if row.way in (OURS, IDLE) else f"{row.waits:,}"
        cpu = [f"{_per_minute(row, part):.2f}" for part in ("client", "server", "database")]
        if row.target == STUB:
            cpu[1:] = ["", ""]
        lines.append([row.target, f"{row.waits:,}", row.way, f"{row.window:.0f}", f"{row.joining:,}", end_states,
                      f"{row.per_interval:,.1f}", f"{row.troubles}", *cpu, f"{row.memory:.0f}"])  # fmt: skip
    return Table(headings, lines)


def _by_waits(rows: Sequence[Row], target: str) -> dict[int, dict[str, Row]]:
    found: dict[int, dict[str, Row]] = {}
    for row in rows:
        if row.target == target and row.way != IDLE:
            found.setdefault(row.waits, {})[row.way] = row
    return found


def _per_minute(row: Row, part: str) -> float:
    return row.per_minute({"client": row.client, "server": row.server, "database": row.database}[part])
