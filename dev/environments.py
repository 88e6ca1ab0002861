"""
The Python environments of this repository, made by uv under `.build/` when they are missing or stale.

Run as a script it needs nothing but Python 3.10 and its standard library:

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

# A Python that was built without one of these starts, and fails later in the middle of Airflow.
NEEDED_MODULES = ("bz2", "ctypes", "lzma", "sqlite3", "ssl")

AIRFLOW_3_PYTHONS = ("3.12", "3.11", "3.10", "3.13", "3.14")
AIRFLOW_2_PYTHONS = ("3.12", "3.11", "3.10")


class SetupError(Exception):
    """An environment cannot be made; the text says what is missing."""


@dataclass(frozen=True)
class Environment:
    """
    One virtual environment: what `requirements/<name>.txt` lists and, if wanted, this repository.

    :param holds: what it is for, in a word or two
    :param pythons: the Python versions that it can be made with, the preferred one first
    :param airflow: the version of Airflow in it, if any
    :param with_package: whether this repository is installed too, editable
    :param published_before: a date; everything in it was published by then, or "" for no such limit
    :param resolves_ours: whether what this repository depends on is resolved too. Otherwise it must work with what is
        there: such an environment stands for the constraints of an Airflow release
    :param lowest: whether it holds the oldest versions that this repository allows
    """

    name: str
    holds: str
    pythons: tuple[str, ...]
    airflow: str = ""
    with_package: bool = False
    published_before: str = ""
    resolves_ours: bool = True
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
        """Written when the environment is complete; holds the fingerprint of what it was made of."""
        return self.path / ".stamp"

    def fingerprint(self) -> str:
        made_of = [str(ROOT), self.requirements.read_text()]
        if self.with_package:
            # How the tools are configured, which is what changes most often there, does not matter.
            made_of.append(PYPROJECT.read_text().partition("\n[tool.")[0])
        return hashlib.sha256("\n".join(made_of).encode()).hexdigest()

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
"""Releases of Airflow that the package must install and run with, each with a date two days after its release."""


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
        Environment("lowest", "Airflow 2.11.0", AIRFLOW_2_PYTHONS, "2.11.0", True, RELEASES["2.11.0"], lowest=True),
        *(_release(version, date) for version, date in RELEASES.items()),
    )
}


def python(name: str) -> Path:
    """The interpreter of the environment `name`."""
    return ENVIRONMENTS[name].python


@functools.cache
def site_packages(name: str) -> Path:
    """The folder that the packages of the environment `name` are installed in."""
    return next((ENVIRONMENTS[name].path / "lib").glob("python3.*/site-packages"))


def make(environment: Environment, say: Callable[[str], None] = print) -> None:
    """
    Make `environment`, unless it is there and fresh.

    :param say: is told, in one line, what takes time
    :raises SetupError: no fitting Python, or uv could not install
    """
    with _only_one(environment.path.with_suffix(".lock")):
        if environment.is_fresh():
            return
        started = time.monotonic()
        interpreter = find_python(environment)
        _make_tools(say)
        say(f"{environment.name}: installing {environment.holds} and what goes with it")
        _uv("venv", "--quiet", "--clear", "--python", interpreter, environment.path)
        into = ("--python", environment.python, "--no-deps")
        _uv("pip", "install", *into, "--requirement", environment.requirements)
        if environment.with_package:
            _uv("pip", "install", *into, "--editable", ROOT)
        environment.stamp.write_text(environment.fingerprint())
        say(f"{environment.name}: ready after {time.monotonic() - started:.0f} s")


def find_python(environment: Environment, candidates: Sequence[str] | None = None) -> str:
    """
    A Python that runs, is whole, and that the environment's Airflow supports.

    :param candidates: interpreters to choose from, the first that fits wins; default: this one, those on
        the PATH, those of pyenv
    :raises SetupError: none fits; names those that were found
    """
    seen: dict[str, str] = {}
    for candidate in _known_pythons(environment) if candidates is None else candidates:
        version = _version(candidate)
        if version in environment.pythons:
            return candidate
        seen[candidate] = version or "does not run, or lacks one of " + ", ".join(NEEDED_MODULES)
    raise SetupError(
        f"{environment.holds} runs on Python {', '.join(sorted(environment.pythons))}, "
        "and none of them was found. Install one of them so that it is on the PATH.\nFound instead:\n"
        + "\n".join(f"  {path}: {what}" for path, what in seen.items())
    )


def lock() -> None:
    """Write every requirements file again, with the newest versions that go together, up to a date if there is one."""
    _make_tools(print)
    for environment in ENVIRONMENTS.values():
        arguments: list[str | Path] = [environment.requirements.with_suffix(".in")]
        if environment.published_before:
            arguments += ["--exclude-newer", environment.published_before]
            # The tests need a clock that time.monotonic follows, too, which came later than the oldest releases.
            arguments += ["--exclude-newer-package", "time-machine=2026-11-01"]
        if environment.lowest:
            arguments += ["--resolution", "lowest-direct"]
        if environment.with_package and environment.resolves_ours:
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
    # pyenv's commands on the PATH refuse to run for all versions but the active ones.
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for version in environment.pythons:
        yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True))


def _version(interpreter: str) -> str | None:
    """Major and minor version of an interpreter; None if it does not run or is not whole."""
    code = f"import {', '.join(NEEDED_MODULES)}, sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _make_tools(say: Callable[[str], None]) -> None:
    """Install the pinned uv into an environment of its own, unless it is there."""
    with _only_one(TOOLS.with_name("lock")):
        if not UV.exists():
            say(f"uv {UV_VERSION}: installing")
            _run(sys.executable, "-m", "venv", "--clear", TOOLS)
            _run(TOOLS / "bin" / "python", "-m", "pip", "install", "--quiet", f"uv=={UV_VERSION}")


def _uv(*arguments: str | Path) -> None:
    """Run uv, and show what it is busy with, but not the list of all that it has installed."""
    # Everything comes from the package index; no other place is asked for another Python.
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
def _only_one(lock_file: Path) -> Iterator[None]:
    """Let one process at a time make an environment; the others wait for it."""
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with lock_file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *ENVIRONMENTS], metavar="environment")
    parser.add_argument("--lock", action="store_true", help="write dev/requirements/*.txt anew")
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
