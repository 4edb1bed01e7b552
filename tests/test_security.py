"""The pages on security and all others: in every combination, what they name is there."""

import re
from collections.abc import Callable

import pytest
from conftest import Project, once
from questionnaire import PROFILES

NAMED = re.compile(r"`((?:src|tests|benchmarks)/[\w/]+\.py)(?:::(\w+))?`")

pytestmark = pytest.mark.parametrize("answers", once(PROFILES))


def test_what_a_page_names_is_there(render: Callable[..., Project], answers: dict[str, str]) -> None:
    """Also of the slices, for which the render does not ask: later they are other people's."""
    project = render(**answers)
    pages = [project.path / path for path in project.files() if path.suffix == ".md" and path.name != "README.md"]
    named = {found for page in pages for found in re.findall(NAMED, page.read_text())}
    assert len(named) > 100
    for path, name in named:
        found = (project.path / path).read_text()
        assert not name or re.search(rf"^ *(?:async )?(?:def|class) {name}\b", found, re.MULTILINE), f"{path}::{name}"


def test_most_items_are_attacked_over_http(render: Callable[..., Project], answers: dict[str, str]) -> None:
    """As many as the page says name a test that asks for a client of the service, and so do all ten risks."""
    project = render(**answers)
    text = (project.path / "docs" / "security.md").read_text()
    rows = re.findall(r"^\| ((?:API)?\d[\d.]*)\b.* \| ([^|]+) \|$", text, re.MULTILINE)
    attacked = [
        item
        for item, tests in rows
        if any(
            re.search(rf"def {name}\([^)]*client", (project.path / path).read_text())
            for path, name in re.findall(NAMED, tests)
        )
    ]
    assert len([item for item in attacked if item.startswith("API")]) == 10
    [promised] = re.findall(r"At least (\d+) items of the ASVS", text)
    assert len([item for item in attacked if "." in item]) >= int(promised) >= 45


def test_the_page_has_the_items_of_what_was_rendered(render: Callable[..., Project], answers: dict[str, str]) -> None:
    text = (render(**answers).path / "docs" / "security.md").read_text()
    chosen = answers.get("features", "[example]")
    example, jobs = "example" in chosen, "jobs" in chosen
    items = re.findall(r"^\| (\d+\.\d+\.\d+) \| [12] \|", text, re.MULTILINE)
    assert len(items) == len(set(items))
    assert len(items) == 97 + 2 * example + 2 * jobs
    assert ("/orders" in text) == ("/products" in text) == example
    assert "\n\n\n" not in text
    assert "{%" not in text
