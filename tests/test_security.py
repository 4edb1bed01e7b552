"""The page on security: in every combination, what it names is there."""

import re
from collections.abc import Callable

import pytest
from conftest import Project, once
from questionnaire import PROFILES

pytestmark = pytest.mark.parametrize("answers", once(PROFILES))


def test_what_the_page_names_is_there(render: Callable[..., Project], answers: dict[str, str]) -> None:
    project = render(**answers)
    text = (project.path / "docs" / "security.md").read_text()
    named = set(re.findall(r"`((?:src|tests)/[\w/]+\.py)(?:::(\w+))?`", text))
    assert len(named) > 60
    for path, name in named:
        found = (project.path / path).read_text()
        assert not name or re.search(rf"^ *(?:async )?(?:def|class) {name}\b", found, re.MULTILINE), f"{path}::{name}"


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
