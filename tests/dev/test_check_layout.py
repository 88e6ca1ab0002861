"""`make lint` reports files that are too long, import cycles, and tests and modules that do not match."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev import check_layout


def write_lines(path: Path, lines: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("pass\n" * lines)


def test_files_are_reported_that_have_too_many_lines(tmp_path: Path) -> None:
    write_lines(tmp_path / "astro_provider" / "short.py", 350)
    write_lines(tmp_path / "astro_provider" / "api" / "long.py", 351)
    write_lines(tmp_path / "tests" / "test_short.py", 500)
    write_lines(tmp_path / "tests" / "unit" / "test_long.py", 501)
    assert check_layout.too_long_files(tmp_path) == [
        "astro_provider/api/long.py: 351 lines, at most 350 are allowed",
        "tests/unit/test_long.py: 501 lines, at most 500 are allowed",
    ]


def test_import_cycle_is_reported_in_the_order_of_the_imports() -> None:
    cycle = check_layout.import_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert sorted(cycle[:3]) == ["a", "b", "c"]
    assert cycle[0] == cycle[3]
    assert "a -> b -> c -> a" in " -> ".join(cycle + cycle[1:])


def test_module_that_is_imported_twice_is_no_cycle() -> None:
    assert check_layout.import_cycle({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}) == []


def test_imports_of_the_package_are_read() -> None:
    imports = check_layout.package_imports()
    assert "astro_provider.api.flow" in imports["astro_provider.api.call"]
    # Named as a type only.
    assert "astro_provider.api.deployment" not in imports["astro_provider.api.call"]


def make_repository(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_modules_and_tests_that_match_are_not_reported(tmp_path: Path) -> None:
    root = make_repository(
        tmp_path,
        "astro_provider/__init__.py",
        "astro_provider/links.py",
        "astro_provider/api/types.py",
        "astro_provider/api/client.py",
        "tests/unit/payloads.py",
        "tests/unit/test_imports.py",
        "tests/unit/test_links.py",
        "tests/unit/api/test_client_paging.py",
    )
    assert check_layout.unmatched_tests(root) == []


def test_module_without_a_test_in_the_same_folder_is_reported(tmp_path: Path) -> None:
    root = make_repository(
        tmp_path, "astro_provider/api/client.py", "astro_provider/client.py", "tests/unit/test_client.py"
    )
    assert check_layout.unmatched_tests(root) == ["astro_provider/api/client.py: tests/unit has no api/test_client.py"]


def test_test_file_without_a_module_is_reported(tmp_path: Path) -> None:
    root = make_repository(
        tmp_path, "astro_provider/links.py", "tests/unit/test_links.py", "tests/unit/test_linkage.py"
    )
    assert check_layout.unmatched_tests(root) == [
        "tests/unit/test_linkage.py: astro_provider has no module of this name"
    ]


@pytest.mark.parametrize(
    ("test", "module"),
    [
        ("test_dag.py", "dag.py"),
        ("test_dag_pausing.py", "dag.py"),
        ("test_dag_run.py", "dag_run.py"),
        ("test_dag_run_kill.py", "dag_run.py"),
        ("test_dags.py", None),
        ("api/test_dag.py", None),
    ],
)
def test_test_file_belongs_to_the_module_with_the_longest_name_that_fits(test: str, module: str | None) -> None:
    modules = {Path("dag.py"), Path("dag_run.py")}
    assert check_layout.tested_module(Path(test), modules) == (None if module is None else Path(module))


def test_files_of_exceptions_exist() -> None:
    root = check_layout.ROOT
    assert [name for name in check_layout.MODULES_WITHOUT_TESTS if not (root / "astro_provider" / name).exists()] == []
    assert [name for name in check_layout.TESTS_WITHOUT_MODULE if not (root / "tests/unit" / name).exists()] == []
