"""Run the benchmarks: see the package's docstring."""

from __future__ import annotations

import argparse
import sys
import time

from rich.console import Console

from tests.benchmarks import __doc__ as description
from tests.benchmarks import report
from tests.benchmarks.measurements import MEASUREMENTS, found, measure
from tests.benchmarks.pair import Deployments
from tests.benchmarks.sizes import QUICK, Sizes


def main() -> int:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *MEASUREMENTS, "report"], metavar="measurement",
                        help=f"of {', '.join(MEASUREMENTS)}; or report, to write it anew")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small sizes, to see whether everything works")
    arguments = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    sizes = QUICK if arguments.quick else Sizes()
    began = time.monotonic()
    say = lambda line: console.print(f"{time.monotonic() - began:6.0f} s  {line}", markup=False)  # noqa: E731
    with Deployments(sizes, say) as deployments:
        for name in MEASUREMENTS:
            if name in (arguments.names or MEASUREMENTS):
                console.rule(name, align="left")
                measure(name, sizes, say, deployments)
    everything = found()
    report.write(everything)
    report.show(everything, console)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # everything is stopped by then
        sys.exit(130)
