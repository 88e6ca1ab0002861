"""The derived run id: the same for all tries of a task, readable, and never that of another task."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_provider.run_id import MAX_RUN_ID_CHARACTERS, first_try_number, remote_run_id

TASK: dict[str, Any] = {
    "deployment": "https://clq52.astronomer.run/dz3uu847/",
    "dag_id": "sales",
    "run_id": "scheduled__2026-02-01T06:00:00+00:00",
    "task_id": "etl.trigger-report",
    "map_index": -1,
    "first_try": 1,
}
PLAIN = "clq52.astronomer.run+dz3uu847~sales~scheduled__2026-02-01T06:00:00+00:00~etl.trigger-report"
DIGEST = re.compile(r"~[0-9a-f]{12}$")
ALLOWED = re.compile(r"^[A-Za-z0-9_.~:+-]+$")


def run_id(**other: Any) -> str:
    return remote_run_id(**{**TASK, **other})


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({}, f"{PLAIN}~1"),
        ({"map_index": 0}, f"{PLAIN}+0~1"),
        ({"first_try": 4}, f"{PLAIN}~4"),
        ({"deployment": "clq52.astronomer.run/dz3uu847"}, f"{PLAIN}~1"),
        (
            {"deployment": "http://localhost:8080"},
            f"{PLAIN}~1".replace("clq52.astronomer.run+dz3uu847", "localhost:8080"),
        ),
        ({"deployment": ""}, f"{PLAIN}~1".replace("clq52.astronomer.run+dz3uu847", "")),
    ],
)
def test_usual_ids_are_joined_without_a_digest(other: dict[str, Any], expected: str) -> None:
    assert run_id(**other) == expected


@pytest.mark.parametrize(
    ("other", "readable"),
    [
        ({"dag_id": "sprzedaż"}, "~sprzeda_~"),
        ({"run_id": "a run/1"}, "~a_run_1~"),
        ({"task_id": "a~b"}, "~a~b~1~"),
        ({"deployment": "https://host/a+b"}, "host+a+b~"),
    ],
)
def test_id_with_replaced_or_separating_characters_has_a_digest(other: dict[str, Any], readable: str) -> None:
    assert readable in run_id(**other)
    assert DIGEST.search(run_id(**other))


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [("deployment", "h/a/ż", "h/a+ż"), ("dag_id", "ż", "ź"), ("run_id", "a b", "a/b"), ("task_id", "ż", "ź")],
)
def test_ids_with_the_same_readable_part_have_different_digests(name: str, one: str, other: str) -> None:
    ids = run_id(**{name: one}), run_id(**{name: other})
    assert DIGEST.sub("", ids[0]) == DIGEST.sub("", ids[1])
    assert ids[0] != ids[1]


def test_long_id_is_cut_and_has_a_digest() -> None:
    ids = {run_id(dag_id="d" * 240, task_id=name) for name in ("one", "two")}
    assert [len(each) for each in ids] == [MAX_RUN_ID_CHARACTERS] * 2
    assert all(DIGEST.search(each) and each.startswith("clq52.astronomer.run+dz3uu847~ddd") for each in ids)


def test_run_id_is_cut_before_the_other_parts() -> None:
    long = run_id(run_id="r" * 250)
    assert len(long) == MAX_RUN_ID_CHARACTERS
    assert long.startswith("clq52.astronomer.run+dz3uu847~sales~rrr")
    assert DIGEST.sub("", long).endswith("rrr~etl.trigger-report~1")


def test_chain_of_deployments_keeps_deployment_dag_and_task() -> None:
    """Each derived run id contains the run id of the triggering run."""
    result = "scheduled__2026-02-01T06:00:00+00:00"
    for number in range(1, 6):
        before, result = result, run_id(deployment=f"https://clq52.astronomer.run/dep{number}", run_id=result)
        assert len(result) <= MAX_RUN_ID_CHARACTERS
        assert result.startswith(f"clq52.astronomer.run+dep{number}~sales~{before[:30]}")
        assert "~etl.trigger-report~1" in result[-40:]


@pytest.mark.parametrize("part", ["deployment", "dag_id", "task_id", "run_id"])
def test_log_folder_of_a_run_fits_into_a_file_name(part: str) -> None:
    assert len(f"run_id={run_id(**{part: 'x' * 250})}".encode()) <= 255


def test_id_of_the_maximal_length_is_not_cut() -> None:
    longest = "d" * (MAX_RUN_ID_CHARACTERS - len(f"{PLAIN}~1") + len("sales"))
    assert len(run_id(dag_id=longest)) == MAX_RUN_ID_CHARACTERS
    assert not DIGEST.search(run_id(dag_id=longest))
    assert DIGEST.search(run_id(dag_id=longest + "d"))


def test_first_try_changes_with_a_clear_but_not_with_a_retry() -> None:
    assert first_try_number(max_tries=2, retries=2) == 1
    # Cleared after the second try: Airflow raises max_tries to 2 + 2.
    assert first_try_number(max_tries=4, retries=2) == 3


# Few different characters, including the separators of the id, so that ambiguous ids are likely.
few = st.text(alphabet="a1~+_/ż", max_size=4)
# Ids that are cut before the character in which they differ.
long = st.builds("a".ljust, st.integers(MAX_RUN_ID_CHARACTERS - 20, MAX_RUN_ID_CHARACTERS + 20), st.just("b"))
tasks = st.fixed_dictionaries(
    {
        "deployment": st.one_of(few, long, st.text()),
        "dag_id": few,
        "run_id": st.one_of(few, long, st.text()),
        "task_id": few,
        "map_index": st.integers(-1, 11),
        "first_try": st.integers(1, 11),
    }
)


def _is_same_task(one: dict[str, Any], other: dict[str, Any]) -> bool:
    def bare(url: str) -> str:
        return re.sub(r"^https?://", "", url).strip("/")

    return {**one, "deployment": bare(one["deployment"])} == {**other, "deployment": bare(other["deployment"])}


@given(tasks)
def test_id_is_allowed_by_airflow(task: dict[str, Any]) -> None:
    result = remote_run_id(**task)
    assert ALLOWED.match(result)
    assert 1 <= len(result) <= MAX_RUN_ID_CHARACTERS
    assert result == remote_run_id(**task)


@given(tasks, tasks)
def test_two_tasks_never_have_the_same_id(one: dict[str, Any], other: dict[str, Any]) -> None:
    if not _is_same_task(one, other):
        assert remote_run_id(**one) != remote_run_id(**other)


@given(tasks, st.sampled_from(sorted(TASK)), tasks)
def test_two_tasks_that_differ_in_one_part_never_have_the_same_id(
    one: dict[str, Any], name: str, other: dict[str, Any]
) -> None:
    changed = {**one, name: other[name]}
    if not _is_same_task(one, changed):
        assert remote_run_id(**one) != remote_run_id(**changed)


ordinary = st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True)


@given(ordinary, ordinary, ordinary, st.integers(-1, 1000), st.integers(1, 99))
def test_usual_ids_have_no_digest(dag_id: str, run_id: str, task_id: str, map_index: int, first_try: int) -> None:
    result = remote_run_id(
        deployment="https://here.example.com:8443/abc",
        dag_id=dag_id,
        run_id=f"{run_id}__2026-02-01T06:00:00+00:00",
        task_id=task_id,
        map_index=map_index,
        first_try=first_try,
    )
    mapped = f"+{map_index}" if map_index >= 0 else ""
    assert result == (
        f"here.example.com:8443+abc~{dag_id}~{run_id}__2026-02-01T06:00:00+00:00~{task_id}{mapped}~{first_try}"
    )
