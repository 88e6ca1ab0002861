"""
The Python environments of this repository. uv creates them under `.build/` when they are missing or out of date.

As a script, this module needs nothing but Python 3.10 and its standard library:

    python3 dev/environments.py triggering target
    python3 dev/environments.py --lock
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
REQUIREMENTS = ROOT / "dev" / "requirements"
PYPROJECT = ROOT / "pyproject.toml"
UV_VERSION = "0.13.9"
TOOLS = BUILD / "tools" / f"uv-{UV_VERSION}"
UV = TOOLS / "bin" / "uv"

# A Python that was built without one of these modules starts, but Airflow fails in it later.
REQUIRED_MODULES = ("bz2", "ctypes", "lzma", "sqlite3", "ssl")

AIRFLOW_3_PYTHONS = ("3.12", "3.11", "3.10", "3.13", "3.14")
AIRFLOW_2_PYTHONS = ("3.12", "3.11", "3.10")


class SetupError(Exception):
    """An environment cannot be created; the message says what is missing."""


@dataclass(frozen=True)
class Environment:
    """
    One virtual environment: the packages of `requirements/<name>.txt` and, optionally, this repository.

    :param contents: its main package and version, for messages
    :param pythons: the Python versions that it supports, the preferred one first
    :param airflow: its version of Airflow; empty without Airflow
    :param with_package: whether this repository is installed too, in editable mode
    :param published_before: a date; only packages published before it are installed. Empty for no limit
    :param resolves_package: whether the dependencies of this repository are resolved too. Otherwise the package must
        work with the versions that Airflow needs, as when users install it with the constraints of an Airflow release
    :param lowest: whether it contains the oldest versions of dependencies that this repository allows
    """

    name: str
    contents: str
    pythons: tuple[str, ...]
    airflow: str = ""
    with_package: bool = False
    published_before: str = ""
    resolves_package: bool = True
    lowest: bool = False

    @property
    def path(self) -> Path:
        return BUILD / "env" / self.name

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    @property
    def requirements(self) -> Path:
        return REQUIREMENTS / f"{self.name}.txt"

    @property
    def stamp(self) -> Path:
        """A file written when the environment is complete; contains the fingerprint of its inputs."""
        return self.path / ".stamp"

    def fingerprint(self) -> str:
        inputs = [str(ROOT), self.requirements.read_text()]
        if self.with_package:
            # The settings of tools in pyproject.toml change often and do not affect an environment.
            inputs.append(PYPROJECT.read_text().partition("\n[tool.")[0])
        return hashlib.sha256("\n".join(inputs).encode()).hexdigest()

    def is_fresh(self) -> bool:
        return self.python.exists() and self.stamp.exists() and self.stamp.read_text() == self.fingerprint()


RELEASES = {
    "2.11.0": "2025-05-22",
    "2.11.2": "2026-03-16",
    "3.0.6": "2025-08-31",
    "3.1.8": "2026-03-13",
    "3.2.2": "2026-05-31",
    "3.3.2": "2026-09-19",
}
"""Airflow releases that the package must install and run with, each with a date two days after the release."""


def _release(version: str, published_before: str) -> Environment:
    pythons = AIRFLOW_2_PYTHONS if version < "3.1" else AIRFLOW_3_PYTHONS[:-1]
    return Environment(f"triggering-{version}", f"Airflow {version}", pythons, version, True, published_before, False)


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment("triggering", "Airflow 3.3.2", AIRFLOW_3_PYTHONS, "3.3.2", with_package=True),
        Environment("target", "Airflow 3.3.2", AIRFLOW_3_PYTHONS, "3.3.2"),
        Environment("target-v1", "Airflow 2.11.2", AIRFLOW_2_PYTHONS, "2.11.2", with_package=True),
        Environment("compose", "docker-compose 1.29.2", AIRFLOW_3_PYTHONS),
        Environment("pictures", "playwright 1.65.2", AIRFLOW_3_PYTHONS),
        Environment("lowest", "Airflow 2.11.0", AIRFLOW_2_PYTHONS, "2.11.0", True, RELEASES["2.11.0"], lowest=True),
        *(_release(version, date) for version, date in RELEASES.items()),
    )
}


def python(name: str) -> Path:
    """Return the interpreter of the environment `name`."""
    return ENVIRONMENTS[name].python


@functools.cache
def site_packages(name: str) -> Path:
    """Return the `site-packages` folder of the environment `name`."""
    return next((ENVIRONMENTS[name].path / "lib").glob("python3.*/site-packages"))


def make(environment: Environment, log: Callable[[str], None] = print) -> None:
    """
    Create `environment`, unless it exists and is up to date.

    :param log: called with one line before each step that takes time
    :raises SetupError: no suitable Python was found, or uv failed
    """
    with _exclusive_lock(environment.path.with_suffix(".lock")):
        if environment.is_fresh():
            return
        started = time.monotonic()
        interpreter = find_python(environment)
        _install_uv(log)
        log(f"{environment.name}: installing {environment.contents} and its dependencies")
        _uv("venv", "--quiet", "--clear", "--python", interpreter, environment.path)
        into = ("--python", environment.python, "--no-deps")
        _uv("pip", "install", *into, "--requirement", environment.requirements)
        if environment.with_package:
            _uv("pip", "install", *into, "--editable", ROOT)
        environment.stamp.write_text(environment.fingerprint())
        log(f"{environment.name}: ready after {time.monotonic() - started:.0f} s")


def find_python(environment: Environment, candidates: Sequence[str] | None = None) -> str:
    """
    Find a complete Python of a version that the environment supports.

    :param candidates: interpreters to choose from; the first suitable one is returned. Default: the running
        interpreter, those on the PATH, and those of pyenv
    :raises SetupError: none is suitable; the message lists those that were found
    """
    rejected: dict[str, str] = {}
    for candidate in _known_pythons(environment) if candidates is None else candidates:
        version = _version(candidate)
        if version in environment.pythons:
            return candidate
        rejected[candidate] = version or "does not run, or lacks one of " + ", ".join(REQUIRED_MODULES)
    raise SetupError(
        f"{environment.contents} runs on Python {', '.join(sorted(environment.pythons))}, "
        "and none of them was found. Install one of them so that it is on the PATH.\nFound instead:\n"
        + "\n".join(f"  {path}: {reason}" for path, reason in rejected.items())
    )


def lock() -> None:
    """Write every requirements file again, with the newest compatible versions (see `Environment.published_before`)."""
    _install_uv(print)
    for environment in ENVIRONMENTS.values():
        arguments: list[str | Path] = [environment.requirements.with_suffix(".in")]
        if environment.published_before:
            arguments += ["--exclude-newer", environment.published_before]
            # The tests need a time-machine that moves time.monotonic; it is newer than the oldest Airflow releases.
            arguments += ["--exclude-newer-package", "time-machine=2026-11-01"]
        if environment.lowest:
            arguments += ["--resolution", "lowest-direct"]
        if environment.with_package and environment.resolves_package:
            arguments.append(PYPROJECT)
        if (overrides := environment.requirements.with_suffix(".overrides")).exists():
            arguments += ["--overrides", overrides]
        options = ("--universal", "--python-version", "3.10", "--upgrade", "--no-annotate", "--no-header")
        _uv("pip", "compile", "--quiet", *options, *arguments, "--output-file", environment.requirements)
        print(f"{environment.requirements.relative_to(ROOT)}: written")


def _known_pythons(environment: Environment) -> Iterator[str]:
    yield sys.executable
    for version in environment.pythons:
        if found := shutil.which(f"python{version}"):
            yield found
    # pyenv's commands on the PATH run only for the active versions.
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for version in environment.pythons:
        yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True))


def _version(interpreter: str) -> str | None:
    """Return the major and minor version of an interpreter; None if it does not run or lacks a required module."""
    code = f"import {', '.join(REQUIRED_MODULES)}, sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _install_uv(log: Callable[[str], None]) -> None:
    """Install the pinned uv into its own environment, unless it is installed."""
    with _exclusive_lock(TOOLS.with_name("lock")):
        if not UV.exists():
            log(f"uv {UV_VERSION}: installing")
            _run(sys.executable, "-m", "venv", "--clear", TOOLS)
            _run(TOOLS / "bin" / "python", "-m", "pip", "install", "--quiet", f"uv=={UV_VERSION}")


def _uv(*arguments: str | Path) -> None:
    """Run uv and show its progress, without its list of installed packages."""
    # uv must not download a Python: only interpreters of this machine are used.
    env = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROJECT": "1"}
    with subprocess.Popen((UV, *arguments), env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if not line.startswith((" + ", " - ", " ~ ")):
                print(f"    {line.strip()}", file=sys.stderr, flush=True)
    if process.returncode != 0:
        raise _failure(UV, *arguments)


def _run(*command: str | Path) -> None:
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        raise _failure(*command)


def _failure(*command: str | Path) -> SetupError:
    return SetupError(f"This command failed, its output is above: {' '.join(map(str, command))}")


@contextmanager
def _exclusive_lock(lock_file: Path) -> Iterator[None]:
    """Hold a lock file, so that only one process creates an environment at a time."""
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with lock_file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *ENVIRONMENTS], metavar="environment")
    parser.add_argument("--lock", action="store_true", help="write dev/requirements/*.txt again")
    arguments = parser.parse_args()
    try:
        if arguments.lock:
            lock()
        for name in arguments.names:
            make(ENVIRONMENTS[name], lambda line: print(f"==> {line}", flush=True))
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
