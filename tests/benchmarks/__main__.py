"""Command line of the benchmarks; see the docstring of the package."""

from __future__ import annotations

import argparse
import sys
import time

from rich.console import Console

from tests.benchmarks import __doc__ as description
from tests.benchmarks import report
from tests.benchmarks.measurements import MEASUREMENTS, load_sections, measure
from tests.benchmarks.pair import SharedDeployments
from tests.benchmarks.sizes import QUICK, Sizes


def main() -> int:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *MEASUREMENTS, "report"], metavar="measurement",
                        help=f"of {', '.join(MEASUREMENTS)}; or report, to write only the report again")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small sizes, to check that everything works")
    arguments = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    sizes = QUICK if arguments.quick else Sizes()
    began = time.monotonic()
    progress = lambda line: console.print(f"{time.monotonic() - began:6.0f} s  {line}", markup=False)  # noqa: E731
    with SharedDeployments(sizes, progress) as deployments:
        for name in MEASUREMENTS:
            if name in (arguments.names or MEASUREMENTS):
                console.rule(name, align="left")
                measure(name, sizes, progress, deployments)
    sections = load_sections()
    report.write(sections)
    report.show(sections, console)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # all deployments are stopped by then
        sys.exit(130)
