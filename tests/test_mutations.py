"""The tests of docs/security.md fail without their controls.

`tests/mutations` has a change of the rendered service for each item: it takes the control out. An item that has another
control in each engine has a table for each.
"""

import json
import os
import re
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import batched
from typing import Any

import pytest
from conftest import Project, once
from questionnaire import PROFILES, REPOSITORY, Answers, choices, typed

MUTATIONS: dict[str, Any] = {
    item: change
    for path in sorted((REPOSITORY / "tests/mutations").glob("*.toml"))
    for item, change in tomllib.loads(path.read_text()).items()
}
ENGINES = ("fastapi", "django")
TURNS = 13
"""Days in which all items have their turn, about ten a day."""

MUTATIONS_OF_THIS_RUN = os.environ.get("MUTATIONS", "")


def whole(engine: str, manager: str = "uv") -> Answers:
    """Return the answers for a service with all features."""
    return {"framework": engine, "package_manager": manager, "features": typed(choices("features"))}


def items(project: Project) -> dict[str, list[str]]:
    """Return the items of the security page, each with its tests."""
    page = (project.path / "docs/security.md").read_text()
    rows = re.findall(r"^\| ((?:API)?\d[\d.]*)(?:/L\d| ).* \| ([^|]+) \|$", page, re.MULTILINE)
    return {item: re.findall(r"`(tests/[\w/]+\.py::\w+)`", proof) for item, proof in rows if "tests/" in proof}


def change(item: str, engine: str) -> dict[str, str]:
    found: dict[str, str] = MUTATIONS[item].get(engine, MUTATIONS[item])
    return found


@pytest.mark.parametrize("answers", once(PROFILES))
def test_each_item_has_a_mutation(render: Callable[..., Project], answers: Answers) -> None:
    missing = items(render(**answers)).keys() - MUTATIONS.keys()
    assert not missing, f"Add mutations to tests/mutations for {', '.join(sorted(missing))}."


@pytest.mark.parametrize("manager", ["uv", "poetry"])
@pytest.mark.parametrize("engine", ENGINES)
def test_mutations_apply(render: Callable[..., Project], engine: str, manager: str) -> None:
    project = render(**whole(engine, manager))
    unknown = MUTATIONS.keys() - items(project).keys()
    assert not unknown, f"docs/security.md has no items {', '.join(sorted(unknown))}: remove their mutations."
    for item in MUTATIONS:
        found = change(item, engine)
        source = (project.path / found["file"]).read_text()
        times = source.count(found["find"])
        assert times == 1, f"{item}: {found['file']} of {engine} contains {found['find']!r} {times} times, not once."
        mutated = source.replace(found["find"], found["replace"])
        assert mutated != source, f"{item}: the mutation changes nothing."
        if found["file"].endswith(".py"):
            compile(mutated, found["file"], "exec")


@pytest.mark.deep
@pytest.mark.parametrize("engine", ENGINES)
def test_tests_fail_without_their_control(installed: Callable[..., Project], engine: str) -> None:
    """With the variable MUTATIONS, this tests those items, or `all`."""
    project = installed(**whole(engine))
    tests = items(project)
    of_today = list(tests)[datetime.now(UTC).toordinal() % TURNS :: TURNS]
    chosen = {"": of_today, "all": list(tests)}.get(MUTATIONS_OF_THIS_RUN, MUTATIONS_OF_THIS_RUN.split(","))
    python, wanted = project.python(), project.path.with_name("mutations.json")
    failed: list[str] = []
    for batch in batched(chosen, 20, strict=False):
        wanted.write_text(json.dumps([{"item": item, "tests": tests[item], **change(item, engine)} for item in batch]))
        printed = project.run(python, REPOSITORY / "tests/planted/mutate.py", wanted)
        outcomes = {found["item"]: found for found in map(json.loads, re.findall(r"^{.*", printed, re.MULTILINE))}
        assert list(outcomes) == list(batch), printed
        failed += [
            f"{engine}, {item}: without the control, no test fails by an assertion. {found}"
            for item, found in outcomes.items()
            if not found.get("asserted")
        ]
    assert not failed, "\n".join(failed)
