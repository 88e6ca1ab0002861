"""`make lint` reports files that are too long and import cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dev import check_layout

if TYPE_CHECKING:
    from pathlib import Path


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
