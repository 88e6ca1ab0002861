"""
Run a deployment, for `test_no_process_left.py`, which ends this program in several ways.

    python -m tests.dev.caller STAGE [raise]

Prints the AIRFLOW_HOME when the deployment waits for STAGE, and then continues or, with `raise`, raises an error.
"""

from __future__ import annotations

import signal
import sys
import time

from dev.deployments import Deployment, running


def main() -> None:
    # A process that a script starts in the background ignores Ctrl-C, and so do its children. This one must not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stage, *then = sys.argv[1:]

    def progress(deployment: Deployment, waiting_for: str) -> None:
        if waiting_for == stage:
            print(deployment.airflow_home, flush=True)
            if then:
                raise RuntimeError("raised on request")

    with running(Deployment("nothing-left", "triggering", 8090), progress=progress):
        time.sleep(600)


if __name__ == "__main__":
    main()
