"""The documentation names only files and tests of core that exist. Names in slices are not checked."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECURITY = ROOT / "docs" / "security.md"
PAGES = [ROOT / "AGENTS.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *ROOT.glob("docs/*.md")]
PLACE = re.compile(r"`((?:src/app|tests|benchmarks|scripts)/[\w/]+\.py)(?:::(\w+))?`")


def references(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield the linked files, and each name in backquotes, such as `tests/core/test_x.py::test_y`."""
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#]+)[^)]*\)", text):
        yield (page.parent / target).resolve(), ""
    for path, name in PLACE.findall(text):
        yield ROOT / path, name


def missing(path: Path, name: str) -> bool:
    """Return whether the file, or the name in the file, is missing. Files of slices are never missing."""
    yours = any(path.is_relative_to(ROOT / place) for place in ("src/app", "tests"))
    if yours and not any(path.is_relative_to(ROOT / place / "core") for place in ("src/app", "tests")):
        return False
    definition = rf"^ *(?:async )?(?:def|class) {name}\b|^{name}\b.* = "
    return not path.exists() or bool(name and not re.search(definition, path.read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("page", [page for page in PAGES if page.is_file()], ids=lambda page: page.name)
def test_named_files_and_tests_exist(page: Path) -> None:
    places = [place for place in references(page) if missing(*place)]
    found = {f"{path}::{name}".removeprefix(f"{ROOT}/").removesuffix("::") for path, name in places}
    assert not found, "\n".join([f"{page.name} names files or tests that do not exist:", *sorted(found)])


@pytest.mark.parametrize("page", [page for page in (SECURITY,) if page.is_file()], ids=lambda page: page.name)
def test_every_security_item_names_a_test(page: Path) -> None:
    rows = re.findall(r"^\| ((?:API)?\d[\d.]*)\b.* \| ([^|]+) \|$", page.read_text("utf-8"), re.MULTILINE)
    items = [item for item, _ in rows]
    assert len(items) == len(set(items))
    assert [item for item in items if "." not in item] == [f"API{number}" for number in range(1, 11)]
    for item, tests in rows:
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", tests), f"The row {item} of {page.name} names no test."
