"""The default note: who triggered a run, as Markdown and as plain text, and the link that leads back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from astro_provider.airflow_versions import UNSET_BASE_URL
from astro_provider.api.api_versions import API_VERSIONS
from astro_provider.api.errors import InvalidRequestError
from astro_provider.api.memory import Memory
from astro_provider.tasks.caller_note import (
    MAX_NOTE_CHARACTERS,
    caller_note,
    given_note,
    task_note,
    trigger_with_note,
    ui_url,
)
from tests.unit.fake_airflow import FakeAirflow
from tests.unit.scripted_target import ScriptedTarget, json_response
from tests.unit.task_runner import TaskInstance

HERE = "https://here.example.com/org"
URL = f"{HERE}/dags/d/runs/r/tasks/t"

ids = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="`"), min_size=1, max_size=250
)
"""A run id of Airflow 2 can have all printable characters if ``allowed_run_id_pattern`` was changed."""


def shown(note: str) -> tuple[list[str], list[str], str]:
    """Render a note as Airflow's UI does; return the texts in code, the targets of links, and the whole text."""
    tokens = [part for token in MarkdownIt().parse(note) for part in token.children or ()]
    codes = [token.content for token in tokens if token.type == "code_inline"]
    links = [str(token.attrs["href"]) for token in tokens if token.type == "link_open"]
    assert {token.type for token in tokens} <= {"text", "code_inline", "link_open", "link_close"}
    return codes, links, "".join(token.content for token in tokens)


def note_of(task: str, dag: str, run: str, url: str | None = URL) -> str:
    ids = {"task": task, "dag": dag, "run": run}
    return caller_note("By ", "{task} of {dag}", ", {run}.", ids=ids, url=url)


def test_note_of_a_task() -> None:
    note = task_note(TaskInstance(task_id="group.load", dag_id="etl", run_id="manual__1+00:00", log_url=URL), HERE)
    assert note == f"Triggered by [task `group.load` of dag `etl`]({URL}), run `manual__1+00:00`."


@pytest.mark.parametrize(("map_index", "text"), [(3, " (map index 3)"), (0, " (map index 0)"), (-1, ""), (None, "")])
def test_note_of_a_mapped_task_has_its_index(map_index: int | None, text: str) -> None:
    assert f"task `trigger`{text} of dag" in task_note(TaskInstance(map_index=map_index), HERE)


@given(task=ids, dag=ids, run=ids)
@example(task="_a_", dag="**b**", run="[c](https://d.example.com)")
@example(task="<b>", dag="&amp;", run="~~x~~\\")
@example(task="{run}", dag="](x", run="{0}")
def test_ids_and_link_are_shown_unchanged(task: str, dag: str, run: str) -> None:
    note = note_of(task, dag, run)
    codes, links, text = shown(note)
    assert links == [URL]
    assert text == f"By {codes[0]} of {codes[1]}, {codes[2]}."
    for code, whole in zip(codes, (task, dag, run), strict=True):
        assert code == whole or whole.startswith(code.removesuffix("…"))
    if len(note) < MAX_NOTE_CHARACTERS - 20:
        assert codes == [task, dag, run]


def test_id_with_backticks_and_line_breaks_stays_one_code() -> None:
    assert shown(note_of("t", "d", "a`b``c \n\n# d`"))[0] == ["t", "d", "a'b''c # d'"]


@given(task=ids, dag=ids, run=ids, url=st.none() | st.integers(0, 1500).map(lambda length: URL + "x" * length))
@example(task="t" * 250, dag="d" * 250, run="r" * 250, url=URL + "x" * 850)
@example(task="t" * 250, dag="d" * 250, run="r" * 250, url=None)
def test_note_is_never_too_long_and_its_link_never_cut(task: str, dag: str, run: str, url: str | None) -> None:
    note = note_of(task, dag, run, url)
    assert len(note) <= MAX_NOTE_CHARACTERS
    assert shown(note)[1] in ([], [url])


def test_link_comes_before_whole_ids_unless_it_leaves_no_room() -> None:
    long_ids = [name * 250 for name in "tdr"]
    codes, links, _ = shown(note_of(*long_ids, URL + "x" * 500))
    assert links == [URL + "x" * 500]
    assert all(code.endswith("…") and len(code) > 100 for code in codes)
    assert shown(note_of(*long_ids, URL + "x" * 900))[:2] == (long_ids, [])


@pytest.mark.parametrize(
    ("airflow_url", "deployment", "expected"),
    [
        (URL, HERE, URL),
        (f"{HERE}//dags/d", f"{HERE}/", f"{HERE}/dags/d"),  # Airflow 2, with a slash at the end of base_url
        (f"{HERE}dags/d", HERE, f"{HERE}/dags/d"),  # Airflow 3.0.6
        (None, HERE, None),  # Airflow 3.0.0
        ("/dags/d", "", None),  # Airflow 3 without base_url
        (f"{UNSET_BASE_URL}/dags/d", UNSET_BASE_URL, None),
        ("https://other.example.com/dags/d", HERE, None),
    ],
)
def test_link_works_in_another_deployment(airflow_url: str | None, deployment: str, expected: str | None) -> None:
    assert ui_url(airflow_url, deployment) == expected
    note = task_note(TaskInstance(log_url=airflow_url), deployment)
    assert shown(note)[1] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("value", "note"), [(None, None), ("", ""), (" ", ""), ("None", ""), (9, "9"), ("by hand", "by hand")]
)
def test_rendered_note_without_a_value_means_none(value: object, note: str | None) -> None:
    assert given_note(value) == note


def trigger(target: ScriptedTarget, note: str | None) -> Any:
    client = target.client(memory=Memory(API_VERSIONS[target.api_version]))
    return target.run(trigger_with_note(client, "d", note=note, default="ours", run_id="r"))["note"]


@pytest.mark.parametrize("api_version", ["v1", "v2"])
@pytest.mark.parametrize(("note", "sent"), [(None, "ours"), ("theirs", "theirs"), ("", None)])
def test_note_of_the_user_comes_first(api_version: str, note: str | None, sent: str | None) -> None:
    target = FakeAirflow(api_version)
    assert trigger(target, note) == sent
    (body,) = target.trigger_bodies()
    assert body.get("note", "nothing") == (sent or "nothing")


def old_airflow(detail: str = "{'note': ['Unknown field.']}") -> FakeAirflow:
    """Make an Airflow 2 that refuses notes, as those before 2.5.2."""
    target = FakeAirflow("v1")
    target.dags = {"d": False}
    refusal = json_response({"title": "Bad Request", "detail": detail, "status": 400}, 400)
    target.on("POST", "dags/d/dagRuns", refusal, target.stored_response)
    return target


def test_target_that_refuses_notes_gets_no_default_note() -> None:
    target = old_airflow()
    assert trigger(target, None) is None
    assert [body.get("note") for body in target.trigger_bodies()] == ["ours", None]


@pytest.mark.parametrize(("note", "detail"), [("theirs", "{'note': ['Unknown field.']}"), (None, "{'conf': ['no']}")])
def test_other_refusals_are_errors(note: str | None, detail: str) -> None:
    target = old_airflow(detail)
    with pytest.raises(InvalidRequestError):
        trigger(target, note)
    assert len(target.runs) == 0
