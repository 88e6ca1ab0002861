"""The description of a failed run, and how much of its logs is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_provider.api import v1, v2
from astro_provider.api.api_versions import API_VERSIONS
from astro_provider.api.credentials import AuthorizationHeader
from astro_provider.api.errors import TransportError
from astro_provider.api.failed_run import describe_failure, last_error
from astro_provider.api.flow import MAX_END_BYTES
from tests.unit import payloads
from tests.unit.scripted_target import ScriptedResponse, ScriptedTarget, html_response, json_response

TASKS = "dags/d/dagRuns/r/taskInstances"


def client_of(target: ScriptedTarget) -> Any:
    return target.client(api_version=target.api_version)


def describe(target: ScriptedTarget, *tasks: dict[str, Any] | ScriptedResponse, **fields: Any) -> list[str]:
    if tasks and isinstance(tasks[0], ScriptedResponse):
        target.on("GET", TASKS, tasks[0])
    else:
        target.on("GET", TASKS, json_response(target.payloads.collection("task_instances", *tasks)))
    client = target.client(api_version=target.api_version, **fields)
    text = target.run(describe_failure(client, target.payloads.dag_run("r", "failed")))
    return text.splitlines()


def test_the_failed_tasks_are_named_with_their_last_error(any_target: ScriptedTarget) -> None:
    for task_id, number in (("a", 2), ("b", 1)):
        any_target.on("GET", f"{TASKS}/{task_id}/logs/{number}", json_response(any_target.payloads.log()))
    failed = [
        any_target.payloads.task_instance("b", "failed", map_index=3, end_date="2026-01-31T07:00:00Z"),
        any_target.payloads.task_instance("a", "failed", try_number=2),
        any_target.payloads.task_instance("c", "success"),
    ]
    assert describe(any_target, *failed) == [
        "Failed tasks:",
        "  a (try 2): ValueError: no rows",
        "  b[3] (try 1): ValueError: no rows",
    ]
    assert any_target.received[0].query["state"] == ["failed"]
    assert [received.query["map_index"] for received in any_target.received[1:]] == [["-1"], ["3"]]


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (json_response({}, 403), "(its log could not be read: AccessDeniedError)"),
        (json_response({}, 500), "(its log could not be read: TargetUnavailableError)"),
        (TransportError("x"), "(its log could not be read: TransportError)"),
        (html_response("Sign in"), "(its log could not be read: NotAirflowError)"),
        (json_response({"content": 7}), "(its log could not be read: UnexpectedAnswerError)"),
        (json_response({"content": [{"event": "hello"}]}), "(its log names no error)"),
    ],
)
def test_unreadable_log_does_not_hide_the_failure(target: ScriptedTarget, log: Any, reason: str) -> None:
    target.on("GET", f"{TASKS}/a/logs/1", log)
    assert describe(target, payloads.v2.task_instance("a", "failed"))[1:] == [f"  a (try 1): {reason}"]


def test_unreadable_list_of_tasks_does_not_hide_the_failure(any_target: ScriptedTarget) -> None:
    first, *others = describe(any_target, json_response({}, 403))
    assert first == "Its failed tasks could not be read: Refused with 403"
    assert others[0].startswith("  GET ")
    assert " in Deployment https://target.example.com/dz3uu847 (connection " in others[0]


def test_failed_run_without_failed_tasks_is_explained(any_target: ScriptedTarget) -> None:
    reason = "None of its tasks failed: it was marked so, or ran into its dagrun_timeout."
    assert describe(any_target) == [reason]


def test_many_failed_tasks_are_five_names_and_a_number(target: ScriptedTarget) -> None:
    failed = [payloads.v2.task_instance(f"t{i}", "failed", end_date=f"2026-01-31T06:00:0{i}Z") for i in range(8)]
    log_lines = describe(target, *reversed(failed))
    assert [line.split()[0] for line in log_lines[1:-1]] == ["t0", "t1", "t2", "t3", "t4"]
    assert log_lines[-1] == "  and 3 more"
    assert len([line for line in target.calls_received if "/logs/" in line]) == 5


def test_five_failed_tasks_are_all_named(target: ScriptedTarget) -> None:
    failed = [payloads.v2.task_instance("t", "failed", map_index=i) for i in range(5)]
    assert [line.split()[0] for line in describe(target, *failed)[1:]] == [f"t[{i}]" for i in range(5)]


def test_failed_task_without_an_end_date_comes_last(target: ScriptedTarget) -> None:
    failed = [payloads.v2.task_instance("a", "failed", end_date=None), payloads.v2.task_instance("b", "failed")]
    assert [line.split()[0] for line in describe(target, *failed)[1:]] == ["b", "a"]


def test_a_secret_in_a_log_is_not_shown(target: ScriptedTarget) -> None:
    secret = json_response({"content": [{"event": "got hidden-1", "level": "error"}]})
    target.on("GET", f"{TASKS}/a/logs/1", secret)
    log_lines = describe(target, payloads.v2.task_instance("a", "failed"), credentials=AuthorizationHeader("hidden-1"))
    assert log_lines[1:] == ["  a (try 1): got ***"]


def test_task_that_did_not_run_is_named_with_its_state(target: ScriptedTarget) -> None:
    task = payloads.v2.task_instance("a", "upstream_failed")
    text = target.run(describe_failure(client_of(target), payloads.v2.dag_run(), tasks=[task]))
    assert "  a (try 1): upstream_failed" in text
    assert target.calls_received == []


# --- the last error of a log


def log(*log_lines: tuple[str, str | None, str | None] | str) -> list[Any]:
    rows = [line if isinstance(line, tuple) else (line, None, None) for line in log_lines]
    return [{"event": event, "timestamp": None, "level": level, "error": error} for event, level, error in rows]


@pytest.mark.parametrize("api_version", [v1, v2])
def test_last_error_of_a_real_log_is_found(api_version: Any) -> None:
    entries = api_version.log_entries(payloads.for_version(api_version.NAME).log())
    assert last_error(entries) == "ValueError: no rows"


@pytest.mark.parametrize(
    ("entries", "error"),
    [
        ([], None),
        (log("all is well", ("fine", "info", None)), None),
        (log(("Task failed", "error", "KeyError: 'x'"), ("Bye", "info", None)), "KeyError: 'x'"),
        (log(("first", "error", None), ("second", "CRITICAL", None), ("third", "warning", None)), "second"),
        (log(("first", "error", "A: 1"), ("second", "error", "B: 2")), "B: 2"),
        (
            log("ValueError: a", "airflow.exceptions.AirflowFailException: b", "INFO done"),
            "airflow.exceptions.AirflowFailException: b",
        ),
        (log("  SystemExit: 3  "), "SystemExit: 3"),
        (log("KeyboardInterrupt"), "KeyboardInterrupt"),
        (log("subprocess.TimeoutExpired: x"), None),
        (log("An Error: in the middle"), None),
        (log("\x1b[31mValueError: red\x1b[0m"), "ValueError: red"),
        (log(("first\r\n\n  second\x1b[2J", "error", None)), "first\n      second"),
    ],
)
def test_last_error_of_a_log_is_found(entries: list[Any], error: str | None) -> None:
    assert last_error(entries) == error


FORGED = "no rows\n[2026-01-31T06:00:00+0000] {taskinstance.py:1} INFO - Marking task as SUCCESS\x1b[1A\x1b[2K\x07"


def test_error_cannot_forge_a_log_line(any_target: ScriptedTarget) -> None:
    log = (
        {
            "content": [
                {"event": "x", "level": "error", "error_detail": [{"exc_type": "ValueError", "exc_value": FORGED}]}
            ]
        }
        if any_target.api_version == "v2"
        else {"content": repr([("worker", "ValueError: " + FORGED)])}
    )
    any_target.on("GET", f"{TASKS}/a/logs/1", json_response(log))
    log_lines = describe(any_target, any_target.payloads.task_instance("a", "failed"))
    assert log_lines[1] == "  a (try 1): ValueError: no rows"
    assert all(line.startswith("    ") for line in log_lines[2:])
    assert all(line.isprintable() for line in log_lines)


def test_task_id_and_state_cannot_forge_a_log_line(any_target: ScriptedTarget) -> None:
    forged = any_target.payloads.task_instance("a\nb", "failed\nc", end_date=None)
    task = API_VERSIONS[any_target.api_version].task_instance(forged)
    text = any_target.run(
        describe_failure(client_of(any_target), any_target.payloads.dag_run("r", "failed"), tasks=[task])
    )
    assert text.splitlines()[1:] == ["  a", "    b (try 1): failed", "    c"]


def test_error_of_a_log_is_shortened(target: ScriptedTarget) -> None:
    target.on("GET", f"{TASKS}/a/logs/1", json_response({"content": [{"event": "y" * 600, "level": "error"}]}))
    assert describe(target, payloads.v2.task_instance("a", "failed"))[1:] == [f"  a (try 1): {'y' * 500}"]


# --- the end of a log


def long_log(version: str, log_lines: list[str], *, as_list: bool = True) -> dict[str, Any]:
    """A log that is longer than the part that is kept, and ends in these lines; Airflow 2 has two forms of it."""
    before = ['2026-01-31 INFO - {\'rows\': [1, 2]},{"x": "zażółć\\\\n"}'] * (MAX_END_BYTES // 50)
    if version == "v2":
        detail = [{"exc_type": "KeyError", "exc_value": "early", "frames": [{"event": "not an entry"}, {"event": 1}]}]
        early = {"event": "Task failed", "level": "error", "error_detail": detail}
        entries = [*({"timestamp": payloads.DATE, "event": line, "level": "info"} for line in before), early]
        content: Any = [*entries, *({"event": line, "level": "info"} for line in log_lines)]
    else:
        text = "\n".join([*before, *log_lines])
        content = repr([("worker", text)]) if as_list else text
    return {"content": content, "continuation_token": "a.b.c"}


@pytest.mark.parametrize(("version", "as_list"), [("v1", True), ("v1", False), ("v2", True)])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("error", ["ValueError: no 'rows' of \"ż\"", "builtins.ValueError: a\tb"])
def test_the_error_at_the_end_of_a_long_log_is_found(
    version: str, as_list: bool, indent: int | None, error: str
) -> None:
    target = ScriptedTarget(version)
    log = long_log(version, ["Traceback", error, "INFO - Done"], as_list=as_list)
    body = json.dumps(log, indent=indent, separators=None if indent else (",", ":")).encode()
    assert len(body) > MAX_END_BYTES
    target.on("GET", f"{TASKS}/a/logs/1", ScriptedResponse(200, body, {"Content-Type": "application/json"}))
    assert describe(target, target.payloads.task_instance("a", "failed"))[1:] == [
        f"  a (try 1): {error}".replace("\t", " ")
    ]


def test_get_task_log_returns_the_whole_log(any_target: ScriptedTarget) -> None:
    log = long_log(any_target.api_version, ["the end"])
    any_target.on("GET", f"{TASKS}/a/logs/1", json_response(log))
    entries = any_target.run(client_of(any_target).get_task_log("d", "r", "a", try_number=1))
    assert len(entries) > MAX_END_BYTES // 50
    assert entries[-1]["event"] == "the end"


@given(cut=st.integers(min_value=0, max_value=700))
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_last_entries_are_read_from_a_log_cut_anywhere(version: str, cut: int) -> None:
    api = API_VERSIONS[version]
    log = payloads.for_version(version).log()
    text = json.dumps(log)
    read = api.end_of_log(text[min(cut, len(text)) :])
    whole = api.log_entries(log)
    if version == "v2":
        assert read == whole[len(whole) - len(read) :]
    else:
        assert [entry["event"] for entry in whole[len(whole) - len(read) + 1 :]] == [
            entry["event"] for entry in read[1:]
        ]


@given(st.text(alphabet='{}[],"\\\\nux0 e', max_size=200))
def test_any_end_of_a_log_can_be_read(text: str) -> None:
    for api in (v1, v2):
        assert isinstance(api.end_of_log(text), list)
