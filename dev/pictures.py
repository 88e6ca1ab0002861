"""
Take the pictures in `docs/pictures/` from the UI of two deployments, with the chromium of this machine.

    make pictures

Playwright is in an environment of its own, because nothing else needs it.
"""

from __future__ import annotations

import io
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import Page, sync_playwright

from dev.demo import EXAMPLES, RUN_TIMEOUT_SECONDS, TARGET_DAG, TRIGGER_TASK, TRIGGERING_DAG, DemoError, DemoRun
from dev.deployments import DEV, TARGET, TRIGGERING, Deployment, DeploymentError, running
from dev.environments import ROOT
from dev.rest_api import POLL_INTERVAL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

PICTURES = ROOT / "docs" / "pictures"
DAGS = DEV / "picture_dags"
# The dag whose task fails because the remote run fails, its task, and the dag that this task triggers.
FAILING_DAG, FAILING_TASK, FAILING_TARGET_DAG = "morning_reports", "load_sales", "nightly_sales"

# On a busy machine, the first task needs longer than Airflow's 5 seconds.
PATIENT = {"AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "100"}
WIDTH, HEIGHT = 1400, 700  # pixels of the browser's window
MAX_BYTES = 150_000  # of a picture
COLORS = 64
PAGE_TIMEOUT_SECONDS = 90.0  # the first page takes long on a busy machine
# Closes the tracebacks, which contain paths of this machine, and scrolls to the first line, as the UI shows the last.
SHOW_LOG = """
document.querySelectorAll("details[open]").forEach(details => { details.open = false; });
document.querySelectorAll("[data-testid=virtualized-list], :has(> [data-testid=virtualized-list])").forEach(
  list => list.scrollTo(0, 0));
"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class PictureError(Exception):
    """A picture cannot be taken; the message says why."""


def main() -> int:
    try:
        take_pictures()
    except (PictureError, DemoError, DeploymentError, BrowserError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def take_pictures() -> None:
    """
    Run the dags, and take all pictures.

    :raises PictureError: a run does not end as expected, or there is no browser
    """
    triggering_dags = [EXAMPLES / f"{TRIGGERING_DAG}.py", DAGS / "triggering.py"]
    target_dags = [EXAMPLES / "target" / f"{TARGET_DAG}.py", DAGS / "target.py"]
    triggering = replace(TRIGGERING, dags=triggering_dags, env=PATIENT)
    target = replace(TARGET, dags=target_dags, env=PATIENT)
    with browser() as chromium, running(triggering, target):
        triggering.add_connection("http_conn", target.connection("login"))  # its token does not expire soon
        target.wait_for_dags(TARGET_DAG, FAILING_TARGET_DAG)
        triggering.wait_for_dags(TRIGGERING_DAG, FAILING_DAG)
        succeeded = finished(triggering, TRIGGERING_DAG, "success")
        failed = finished(triggering, FAILING_DAG, "failed")
        remote = DemoRun(target, FAILING_TARGET_DAG, failed.xcom(FAILING_TASK, "trigger_run_id"))
        with page_of(chromium, triggering) as page:
            take_log(page, succeeded, TRIGGER_TASK, TARGET_DAG, "log_of_a_successful_task")
            take_log(page, failed, FAILING_TASK, "rows have no price", "log_of_a_failed_task")
        with page_of(chromium, target) as page:
            take_run(page, remote, "note_in_the_target")


def finished(deployment: Deployment, dag_id: str, expected: str) -> DemoRun:
    """Trigger a dag, and wait until its run is in the expected state."""
    created = deployment.request("POST", f"dags/{dag_id}/dagRuns", json={"logical_date": None})
    run = DemoRun(deployment, dag_id, created["dag_run_id"])
    deadline = time.monotonic() + RUN_TIMEOUT_SECONDS
    while (state := run.get()["state"]) != expected:
        if state in ("success", "failed") or time.monotonic() > deadline:
            raise PictureError(f"The run of {dag_id} in {deployment.name} is {state}, not {expected}.")
        time.sleep(POLL_INTERVAL_SECONDS)
    return run


@contextmanager
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise PictureError(f"None of {', '.join(BROWSERS)} is installed on this machine.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path)
        yield chromium
        chromium.close()


@contextmanager
def page_of(chromium: Browser, deployment: Deployment) -> Iterator[Page]:
    """Log in, and open a page. The deployments have one host name, so each needs cookies of its own."""
    context = chromium.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    context.set_default_timeout(PAGE_TIMEOUT_SECONDS * 1000)
    page = context.new_page()
    page.goto(deployment.url)
    page.get_by_label("Username").fill(deployment.username)
    page.get_by_label("Password").fill(deployment.password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Dags").first.wait_for()
    yield page
    context.close()


def take_log(page: Page, run: DemoRun, task_id: str, text: str, name: str) -> None:
    """Take a picture of the log of a task, which contains this text, from its first line on."""
    page.goto(f"{run_page(run)}/tasks/{task_id}")
    page.get_by_text(text).first.wait_for()
    page.evaluate(SHOW_LOG)
    save(page, name)


def take_run(page: Page, run: DemoRun, name: str) -> None:
    """Take a picture of the page of a dag run."""
    page.goto(run_page(run))
    page.get_by_text("Triggered by").first.wait_for()
    save(page, name)


def run_page(run: DemoRun) -> str:
    return f"{run.deployment.url}/dags/{run.dag_id}/runs/{quote(run.run_id, safe='')}"


def save(page: Page, name: str) -> None:
    """Store a picture with few colors, so that it is small."""
    page.wait_for_load_state("networkidle")
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLORS)
    path = PICTURES / f"{name}.png"
    PICTURES.mkdir(exist_ok=True)
    image.save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size:,} bytes")
    if size > MAX_BYTES:
        raise PictureError(f"{path.name} is larger than {MAX_BYTES:,} bytes")


if __name__ == "__main__":
    sys.exit(main())
