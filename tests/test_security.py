"""Names in the pages exist, and the security page matches the render."""

import re
from collections.abc import Callable

import pytest
from conftest import Project, once
from questionnaire import PROFILES

NAMED = re.compile(r"`((?:src|tests|benchmarks)/[\w/]+\.py)(?:::(\w+))?`")

pytestmark = pytest.mark.parametrize("answers", once(PROFILES))


def test_names_in_pages_exist(render: Callable[..., Project], answers: dict[str, str]) -> None:
    """Includes names in slices. The tests of a render do not check these names, because users change slices."""
    project = render(**answers)
    pages = [project.path / path for path in project.files() if path.suffix == ".md" and path.name != "README.md"]
    named = {found for page in pages for found in re.findall(NAMED, page.read_text())}
    assert len(named) > 100
    for path, name in named:
        found = (project.path / path).read_text()
        assert not name or re.search(rf"^ *(?:async )?(?:def|class) {name}\b", found, re.MULTILINE), f"{path}::{name}"


def test_security_items_are_tested_over_http(render: Callable[..., Project], answers: dict[str, str]) -> None:
    """At least the promised number of items, and all ten API risks, name a test with a client."""
    project = render(**answers)
    text = (project.path / "docs" / "security.md").read_text()
    rows = re.findall(r"^\| ((?:API)?\d[\d.]*)\b.* \| ([^|]+) \|$", text, re.MULTILINE)
    attacked = [
        item
        for item, tests in rows
        if any(
            re.search(rf"def {name}\([^)]*client", (project.path / path).read_text())
            for path, name in re.findall(NAMED, tests)
            if path.startswith("tests/")
        )
    ]
    assert len([item for item in attacked if item.startswith("API")]) == 10
    [promised] = re.findall(r"At least (\d+) items of the ASVS", text)
    assert len([item for item in attacked if "." in item]) >= int(promised) >= 45


def test_security_page_lists_rendered_items(render: Callable[..., Project], answers: dict[str, str]) -> None:
    text = (render(**answers).path / "docs" / "security.md").read_text()
    chosen = answers.get("features", "[example]")
    example = "example" in chosen
    items = re.findall(r"^\| (\d+\.\d+\.\d+)/L[1-3] \| [^|]+ \| [^|]+ \| `", text, re.MULTILINE)
    assert len(items) == len(set(items))
    assert len(items) == 117 + 2 * example
    assert ("/api/v1/payments/events" in text) == example
    assert "\n\n\n" not in text
    assert "{%" not in text
