"""The demo reports success only if both runs succeeded and both deployments hold the same result."""

from __future__ import annotations

import signal
import subprocess
import sys
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from rich.console import Console

from dev import demo
from dev.demo import DemoError, DemoRun
from dev.deployments import DeploymentError
from dev.environments import ROOT
from dev.progress_table import ProgressTable


class FakeDeployment:
    """Responds as the REST API does, from a mapping of path endings to responses."""

    def __init__(self, name: str, **answers: Any) -> None:
        self.name = name
        self.answers = answers

    def request(self, method: str, path: str, **_: Any) -> Any:
        for end, answer in self.answers.items():
            if path.endswith(end):
                return answer
        raise requests.HTTPError(f"{path} answered 404", response=SimpleNamespace(status_code=404))


TASK = {"state": "success", "start_date": "2026-01-01T00:00:00Z", "duration": 1.0}
LOCAL = {
    "dagRuns/local": {"state": "success", "duration": 9.0},
    "/taskInstances": {
        "task_instances": [
            {**TASK, "task_id": "trigger", "pid": None, "end_date": "2026-01-01T00:00:07.500000Z"},
            {**TASK, "task_id": "show_result", "pid": 123, "end_date": "2026-01-01T00:00:09Z"},
        ]
    },
    "trigger/xcomEntries/trigger_run_id": {"value": "remote"},
    "show_result/xcomEntries/return_value": {"value": {"rows": 12}},
}
REMOTE = {
    "dagRuns/remote": {"state": "success", "duration": 5.0, "end_date": "2026-01-01T00:00:06Z"},
    "/taskInstances": {"task_instances": [{**TASK, "task_id": "report", "pid": 456}]},
    "report/xcomEntries/return_value": {"value": {"rows": 12}},
}


def summary(local_answers: dict[str, Any], remote_answers: dict[str, Any]) -> str:
    output = StringIO()
    local = DemoRun(FakeDeployment("triggering", **local_answers), "trigger_and_wait", "local")
    demo.summarise(Console(file=output, width=120), local, FakeDeployment("target", **remote_answers))
    return output.getvalue()


def test_demo_succeeds_when_both_results_are_equal() -> None:
    text = summary(LOCAL, REMOTE)
    assert "remote_report" in text
    assert "9.0 s" in text
    assert "same result" in text


def test_demo_shows_where_each_task_ran() -> None:
    lines = summary(LOCAL, REMOTE).splitlines()
    places = {task: line for line in lines for task in ("trigger ", "show_result ", "report ") if f"│ {task}" in line}
    assert "triggerer, without a task process" in places["trigger "]
    assert all("│ worker " in places[task] for task in ("show_result ", "report "))


def test_demo_shows_how_long_after_the_remote_run_the_task_ended() -> None:
    assert "trigger ended 1.5 s after the run that it triggered" in summary(LOCAL, REMOTE)


def test_demo_fails_when_the_results_differ() -> None:
    with pytest.raises(DemoError, match="results differ"):
        summary({**LOCAL, "show_result/xcomEntries/return_value": {"value": None}}, REMOTE)


def test_demo_fails_when_the_remote_run_does_not_exist() -> None:
    with pytest.raises(requests.HTTPError, match="dagRuns/remote answered 404"):
        summary(LOCAL, {})


def test_demo_fails_when_the_local_run_missed_a_remote_failure() -> None:
    with pytest.raises(DemoError, match="remote_report in target is failed, but trigger_and_wait reported success"):
        summary(LOCAL, {**REMOTE, "dagRuns/remote": {"state": "failed", "duration": 5.0}})


def test_demo_fails_when_the_local_run_names_no_remote_run() -> None:
    with pytest.raises(DemoError, match="trigger of trigger_and_wait in triggering left no trigger_run_id"):
        summary({"dagRuns/local": LOCAL["dagRuns/local"]}, REMOTE)


def test_demo_shows_the_task_log_when_the_local_run_failed() -> None:
    failed = {
        "dagRuns/local": {"state": "failed", "duration": 9.0},
        "/taskInstances": {"task_instances": [{"task_id": "trigger", "state": "failed", "try_number": 1}]},
        "/logs/1": {
            "content": [
                {"event": "::group::Log message source details"},
                {"event": "Task failed", "error_detail": [{"exc_type": "AstroError", "exc_value": "no such dag"}]},
            ]
        },
    }
    with pytest.raises(DemoError, match=r"(?s)ended failed.*last log lines of trigger:.*AstroError: no such dag"):
        summary(failed, REMOTE)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DemoError("x"), 1),
        (DeploymentError("x"), 1),
        (requests.ConnectionError("x"), 1),
        (KeyboardInterrupt(), 130),
        (None, 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_code_is_nonzero_after_an_error(error: BaseException | None, code: int, mocker: Any) -> None:
    mocker.patch("sys.argv", ["demo.py"])
    mocker.patch("dev.demo.demo", side_effect=error, return_value=0)
    assert demo.main() == code


KEEPS_RUNNING = """
import sys
from dev import demo

demo.demo = lambda console, keep: demo.keep_running(console) or 0
sys.exit(demo.main())
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_demo_in_the_background_is_stopped_as_it_says(how: signal.Signals) -> None:
    def ignore_interrupts() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does when a script starts a background job

    command = [sys.executable, "-uc", KEEPS_RUNNING]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=ignore_interrupts
    ) as process:
        try:
            assert process.stdout
            while "To stop both" not in (line := process.stdout.readline()):
                assert line, "the demo ended"
            assert line.strip() == f"To stop both, press Ctrl-C here, or run: kill {process.pid}"
            process.send_signal(how)
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_kept_demo_shows_dags_folder_and_command_line(mocker: Any, tmp_path: Any) -> None:
    deployment = mocker.Mock(spec_set=["name", "url", "username", "password", "dags_folder", "write_command"])
    deployment.configure_mock(name="triggering", url="http://localhost:8080", username="admin", password="admin")
    deployment.dags_folder = tmp_path / "dags"
    deployment.write_command.return_value = tmp_path / "airflow"
    mocker.patch("os.path.relpath", side_effect=str)
    output = StringIO()
    demo.show_usage(Console(file=output, width=40), deployment)
    lines = [line.strip() for line in output.getvalue().splitlines()]
    assert f"put DAG files into {tmp_path}/dags" in lines
    assert f"command line:      {tmp_path}/airflow dags list" in lines


def test_progress_without_a_terminal_prints_one_line_per_change() -> None:
    output = StringIO()
    with ProgressTable(Console(file=output, width=120), "Starting") as screen:
        for state in ("queued", "queued", "running"):
            screen.show("target", "report", state)
    lines = output.getvalue().splitlines()
    assert [line.split()[-1] for line in lines] == ["...", "queued", "running"]


def test_progress_in_a_terminal_groups_rows_by_deployment() -> None:
    output = StringIO()
    with ProgressTable(Console(file=output, width=120, force_terminal=True), "Starting") as screen:
        screen.show("here", "a", "running")
        screen.show("there", "b", "running")
        screen.show("here", "c", "success")
    last = output.getvalue().rpartition("Starting")[2]
    assert last.index(" a ") < last.index(" c ") < last.index(" b ")
