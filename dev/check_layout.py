"""
Checks of `make lint` that ruff and import-linter lack: the length of files, import cycles, and the names of tests.

    .build/env/triggering/bin/python -m dev.check_layout
"""

from __future__ import annotations

import sys
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import grimp

from dev.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

PACKAGE = "astro_provider"
UNIT_TESTS = "tests/unit"
MODULES_WITHOUT_TESTS = {
    "api/types.py": "declares types only",
    "hooks/http_aiohttp.py": "the tests of http.py run with this module and http_requests.py",
    "hooks/http_requests.py": "the tests of http.py run with this module and http_aiohttp.py",
}
"""Modules that need no test file of their own, and why."""
TESTS_WITHOUT_MODULE = {
    "test_imports.py": "tests which modules each import loads",
    "test_provider_info.py": "tests __init__.py, which has no test file named after it",
}
"""Test files that are for no single module, and what they test."""
MAX_LINES = {PACKAGE: 350, "tests": 500}
"""The most lines of a Python file in each of these folders. A longer file usually holds two ideas."""


def too_long_files(root: Path) -> list[str]:
    """Report each file below ``root`` that has more lines than its folder allows."""
    found = []
    for folder, max_lines in MAX_LINES.items():
        for path in sorted((root / folder).rglob("*.py")):
            lines = len(path.read_text().splitlines())
            if lines > max_lines:
                found.append(f"{path.relative_to(root)}: {lines} lines, at most {max_lines} are allowed")
    return found


def import_cycle(imports: dict[str, set[str]]) -> list[str]:
    """
    Find a cycle of imports.

    :param imports: for each module, the modules that it imports
    :return: the modules of one cycle, of which each imports the next; empty if there is no cycle
    """
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        # graphlib lists each module before the one that imports it.
        cycle: list[str] = error.args[1]
        return cycle[::-1]
    return []


def package_imports() -> dict[str, set[str]]:
    """
    For each module of the package, the modules of the package that it imports, at any depth of its code.

    Imports under ``TYPE_CHECKING`` are left out: they never run, and two modules can name each other's types.
    """
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)
    # airflow_versions imports names lazily from itself.
    return {module: graph.find_modules_directly_imported_by(module) - {module} for module in graph.modules}


def unmatched_tests(root: Path) -> list[str]:
    """
    Report each module of the package without a test file, and each test file without a module.

    The tests of a module are in ``test_<module>.py`` or ``test_<module>_<aspect>.py``, in the same folder of
    ``UNIT_TESTS`` as the module has in the package.

    :param root: the folder of the repository
    """
    package, tests = root / PACKAGE, root / UNIT_TESTS
    modules = {path.relative_to(package) for path in package.rglob("*.py") if path.name != "__init__.py"}
    untested = {module for module in modules if module.as_posix() not in MODULES_WITHOUT_TESTS}
    found = []
    for path in sorted(tests.rglob("test_*.py")):
        test = path.relative_to(tests)
        module = tested_module(test, modules)
        if module is not None:
            untested.discard(module)
        elif test.as_posix() not in TESTS_WITHOUT_MODULE:
            found.append(f"{UNIT_TESTS}/{test.as_posix()}: {PACKAGE} has no module of this name")
    for module in sorted(untested):
        test = module.with_name(f"test_{module.name}")
        found.append(f"{PACKAGE}/{module.as_posix()}: {UNIT_TESTS} has no {test.as_posix()}")
    return found


def tested_module(test: Path, modules: Collection[Path]) -> Path | None:
    """
    Find the module that a test file is for.

    :param test: the test file, relative to ``UNIT_TESTS``
    :param modules: all modules, relative to the package
    :return: the module with the longest name that fits, because ``test_dag_run_kill.py`` is not for ``dag.py`` if there
        is a ``dag_run.py``; ``None`` if no name fits
    """
    name = test.stem.removeprefix("test_")
    fitting = [
        module
        for module in modules
        if module.parent == test.parent and (name == module.stem or name.startswith(f"{module.stem}_"))
    ]
    return max(fitting, key=lambda module: len(module.stem), default=None)


def main() -> int:
    problems = too_long_files(ROOT) + unmatched_tests(ROOT)
    if cycle := import_cycle(package_imports()):
        problems.append(f"import cycle: {' -> '.join(cycle)}")
    print("\n".join(problems) or "No file is too long, no imports form a cycle, and every module has its test file.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
