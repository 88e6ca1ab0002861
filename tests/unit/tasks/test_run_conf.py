"""The conf of a run: which values it can have, and what is sent."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any

import pytest

from astro_provider.airflow_versions import AIRFLOW_VERSION
from astro_provider.tasks.run_conf import check_conf, parsed_conf


class LazySequence(Sequence[Any]):
    """A sequence that is not a list, such as the results of a mapped task."""

    def __init__(self, *items: Any) -> None:
        self._items = items

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)


@pytest.mark.parametrize(
    ("conf", "plain"),
    [
        ({"files": LazySequence("a", "b")}, {"files": ["a", "b"]}),
        ({"files": LazySequence(LazySequence(1), {"deep": LazySequence()})}, {"files": [[1], {"deep": []}]}),
        ({"pair": (1, 2)}, {"pair": [1, 2]}),
        (MappingProxyType({"a": MappingProxyType({"b": 1})}), {"a": {"b": 1}}),
        (OrderedDict(a=None), {"a": None}),
        ('{"a": [1]}', {"a": [1]}),
        ({}, {}),
        (None, None),
        ("", None),
        (" None ", None),
    ],
)
def test_conf_becomes_plain_json(conf: object, plain: dict[str, Any] | None) -> None:
    sent = parsed_conf(conf)
    assert sent == plain
    assert repr(sent) == repr(plain)  # lists and dicts, whatever they came from
    check_conf(conf)


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 0), reason="Airflow 2 has another class, which wants a database")
def test_results_of_a_mapped_task_become_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time.lazy_sequence import LazyXComSequence

    class Results(LazyXComSequence[str]):
        """Airflow's class, without the calls to the supervisor."""

        def __init__(self) -> None: ...

        def __len__(self) -> int:
            return 2

        def __iter__(self) -> Iterator[str]:  # type: ignore[override]
            return iter(["a", "b"])

    assert parsed_conf({"files": Results()}) == {"files": ["a", "b"]}


@pytest.mark.parametrize(
    "conf",
    [
        {"a": b"bytes"},
        {"a": {1, 2}},
        {"a": float("nan")},
        {(1, 2): "a"},
        {"a": object()},
        "{'a': 1}",
        "[1]",
        "5",
        LazySequence({"a": 1}),
        5,
    ],
)
def test_conf_that_json_cannot_represent_is_refused(conf: object) -> None:
    for function in (parsed_conf, check_conf):
        with pytest.raises(ValueError, match="conf must be a dict"):
            function(conf)


def test_error_shows_the_refused_conf() -> None:
    with pytest.raises(ValueError, match=r"bytes is not JSON, in \{'key': b'value'\}"):
        parsed_conf({"key": b"value"})
