"""
Have a deployment run, for `test_nothing_left.py`, which ends this program in all sorts of ways.

    python -m tests.dev.caller STAGE [raise]

Prints a line when the deployment waits for STAGE, then goes on, or raises an error.
"""

from __future__ import annotations

import signal
import sys
import time

from dev.deployments import Deployment, running


def main() -> None:
    # Who is started in the background of a script is deaf to Ctrl-C, and so is what it starts; this one must hear it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stage, *then = sys.argv[1:]

    def progress(deployment: Deployment, waiting_for: str) -> None:
        if waiting_for == stage:
            print(deployment.home, flush=True)
            if then:
                raise RuntimeError("as was asked")

    with running(Deployment("nothing-left", "triggering", 8090), progress=progress):
        time.sleep(600)


if __name__ == "__main__":
    main()
