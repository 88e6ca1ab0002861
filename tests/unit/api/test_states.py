from __future__ import annotations

import enum

import pytest

from astro_provider.api.states import DAG_RUN_STATES, TASK_STATES, checked_states


class State(str, enum.Enum):
    """A state enum like those of Airflow."""

    SUCCESS = "success"

    def __str__(self) -> str:
        return str(self.value)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, ["failed"]),
        ([], []),
        (["success"], ["success"]),
        ([State.SUCCESS], ["success"]),
        (("queued",), ["queued"]),
    ],
)
def test_states_become_plain_names(given: object, read: list[str]) -> None:
    states = checked_states("allowed_states", given, DAG_RUN_STATES, ("failed",))
    assert states == read
    assert [type(state) for state in states] == [str] * len(states)


def test_an_unknown_state_is_named_with_the_choices() -> None:
    with pytest.raises(
        ValueError, match=r"^allowed_states has unknown state 'done'; choices: queued, running, success, failed$"
    ):
        checked_states("allowed_states", ["success", "done"], DAG_RUN_STATES, ())


@pytest.mark.parametrize("text", ["success", State.SUCCESS])
def test_text_instead_of_a_list_of_states_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^failed_states must be a list of states, not the text 'success'$"):
        checked_states("failed_states", text, DAG_RUN_STATES, ())


def test_states_are_those_of_the_installed_airflow() -> None:
    from airflow.utils.state import DagRunState, TaskInstanceState

    assert set(DAG_RUN_STATES) == {str(state.value) for state in DagRunState}
    assert {str(state.value) for state in TaskInstanceState} <= set(TASK_STATES)
