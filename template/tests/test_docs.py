"""What the documentation names is there; of the slices, which are yours to change, only what it links to."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "AGENTS.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *ROOT.glob("docs/*.md")]


def _references(page: Path) -> Iterator[tuple[Path, str]]:
    """The page's links to files and its names of tests (`tests/test_x.py::test_y`), with the definition to find."""
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#]+)[^)]*\)", text):
        yield page.parent / target, ""
    for path, _, name in re.findall(r"`((?:src/app|tests|benchmarks)/\w+\.py)(::(\w+))?`", text):
        yield ROOT / path, name


def _is_there(path: Path, name: str) -> bool:
    definition = rf"^ *(?:async )?(?:def|class) {name}\b"
    return path.exists() and bool(not name or re.search(definition, path.read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("page", [page for page in PAGES if page.is_file()], ids=lambda page: page.name)
def test_what_is_named_is_there(page: Path) -> None:
    assert [reference for reference in _references(page) if not _is_there(*reference)] == []


def test_every_item_of_security_has_its_test() -> None:
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    rows = re.findall(r"^\| ((?:API)?\d[\d.]*)\b.* \| ([^|]+) \|$", text, re.MULTILINE)
    items = [item for item, _ in rows]
    assert len(items) == len(set(items))
    assert [item for item in items if "." not in item] == [f"API{number}" for number in range(1, 11)]
    for item, tests in rows:
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", tests), item
