"""
Checks of `make lint` that neither ruff nor import-linter makes: the length of files, and import cycles.

    .build/env/triggering/bin/python -m dev.check_layout
"""

from __future__ import annotations

import sys
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import grimp

from dev.environments import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = "astro_provider"
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


def main() -> int:
    problems = too_long_files(ROOT)
    if cycle := import_cycle(package_imports()):
        problems.append(f"import cycle: {' -> '.join(cycle)}")
    print("\n".join(problems) or "No file is too long, and no imports form a cycle.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
