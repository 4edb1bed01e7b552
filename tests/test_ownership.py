"""Each rendered file has one owner, and what was released stays: so no update takes a file from its user."""

import copy
import re
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Project, once, working_tree
from questionnaire import CONFIGURATION, PROFILES, QUESTIONS, REPOSITORY, Answers
from release import RECORD, Promises, changelog, choices, excluded, matching
from test_update import real_releases

NOW = Promises.now()
FEATURES = choices(QUESTIONS["features"])
FILES = [path.relative_to("template") for path in working_tree("template")]


def test_every_path_has_one_owner() -> None:
    """And no rule about it is dead."""
    paths = Promises.released().every_path() | NOW.every_path()
    assert matching(NOW.yours, paths) & matching(NOW.brought, paths) == set()
    assert [pattern for pattern in [*NOW.yours, *NOW.brought] if not matching([pattern], paths)] == []


def test_what_is_yours_is_always_there_or_brought_by_a_feature() -> None:
    """An update could never bring the first with a new answer, and would bring the second back."""
    always: dict[object, set[frozenset[str]]] = {}
    for chosen in NOW.every_choice(sorted(NOW.deciding())):
        paths = NOW.rendered(chosen)
        always.setdefault(chosen["framework"], set()).add(frozenset(matching(NOW.yours, paths)))
        assert chosen["features"] or not matching(NOW.brought, paths)
    assert [len(different) for different in always.values()] == [1] * len(choices(QUESTIONS["framework"]))


def test_what_a_feature_brought_is_left_alone_while_it_is_on() -> None:
    """The two lists in copier.yml say the same, feature by feature."""
    kept = {feature: set(excluded(CONFIGURATION, [feature], "/my_copy.d")) - {*NOW.yours} for feature in FEATURES}
    assert set().union(*kept.values()) == set(NOW.brought)
    for chosen in NOW.every_choice(sorted(NOW.deciding())):
        for feature in FEATURES:
            assert feature in str(chosen["features"]) or not matching(kept[feature], NOW.rendered(chosen)), feature


@pytest.mark.deep
@pytest.mark.parametrize("answers", once(PROFILES))
def test_the_render_says_what_is_yours(render: Callable[..., Project], answers: Answers) -> None:
    project = render(**answers)
    text = (project.path / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| you\b.*$", text, re.MULTILINE)
    said = {f"/{path}" for row in rows for path in re.findall(r"`([^`]+)`", row)}
    paths = {str(path) for path in project.files()}
    assert said == {pattern for pattern in [*NOW.yours, *NOW.brought] if matching([pattern], paths)}


def test_what_was_released_is_still_promised() -> None:
    assert Promises.released().broken_by(NOW) == []


def test_each_release_was_written_down() -> None:
    for tag in real_releases():
        assert Promises.of_tag(Project(REPOSITORY), tag) | Promises.released() == Promises.released(), tag


def _narrow(configuration: dict[str, Any]) -> None:
    del configuration["license"]["choices"]["MIT"]


def _retype(configuration: dict[str, Any]) -> None:
    configuration["python_version"] |= {"multiselect": True}


def _drop(configuration: dict[str, Any]) -> None:
    del configuration["author_email"]


def _take_over(configuration: dict[str, Any]) -> None:
    configuration["_exclude"][0] = configuration["_exclude"][0].replace("/README.md\n", "")


def _move(configuration: dict[str, Any]) -> None:
    configuration["uv"]["default"] = "{{ '.' if package_manager == 'uv' and 'example' in features else '' }}"


@pytest.mark.deep
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_narrow, "Offer MIT as license again"),
        (_retype, "Give python_version its type back"),
        (_drop, "Ask author_email again"),
        (_take_over, "Leave /README.md to its owner"),
        (_move, "Put /.python-versions into _exclude of copier.yml: an update would delete it."),
    ],
)
def test_a_broken_promise_is_told(change: Callable[[dict[str, Any]], None], sentence: str) -> None:
    configuration = copy.deepcopy(CONFIGURATION)
    change(configuration)
    assert sentence in "\n".join(NOW.broken_by(Promises.of(configuration, FILES)))


@pytest.mark.deep
@pytest.mark.parametrize("path", ["src/app/retry.py", "{{ example }}/src/app/products/schemas.py"])
def test_a_path_that_is_gone_is_told_until_it_is_excluded(path: str) -> None:
    """Also one that is yours, in a feature: the renders beside the project hold it."""
    fewer = [file for file in FILES if file != Path(path)]
    gone = re.sub(r"^\{\{ \w+ \}\}", "", path).removeprefix("/")
    assert NOW.broken_by(Promises.of(CONFIGURATION, fewer)) == [
        f"Put /{gone} into _exclude of copier.yml: an update would delete it."
    ]
    kept = CONFIGURATION | {"_exclude": [*CONFIGURATION["_exclude"], f"/{gone}"]}
    assert NOW.broken_by(Promises.of(kept, fewer)) == []


@pytest.mark.deep
def test_a_renamed_question_is_one_that_reads_the_old() -> None:
    configuration = copy.deepcopy(CONFIGURATION)
    question = configuration.pop("package_manager")
    configuration["manager"] = question | {"default": "{{ package_manager | default('uv') }}"}
    for name in choices(question):
        configuration[name]["default"] = configuration[name]["default"].replace("package_manager", "manager")
    assert NOW.broken_by(Promises.of(configuration, FILES)) == []


def test_the_version_is_that_of_the_newest_entry() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    written = [heading.split()[0] for heading in changelog() if heading != "Unreleased"]
    assert [version, *written[1:]] == written or not written


@pytest.mark.deep
def test_a_release_is_written_down(template: Path, tmp_path: Path) -> None:
    clone = Project(shutil.copytree(template, tmp_path / "template"))
    changes = clone.path / "CHANGELOG.md"
    changes.write_text("# Changelog\n\n## Unreleased\n\n- More.\n\n## 0.9.0 (2026-01-01)\n\n- Something.\n")
    release = (sys.executable, "tests/release.py")
    assert clone.run(*release, "1.0", fails=True) == "Type a version like 1.2.0, not 1.0.\n"
    assert clone.run(*release, "0.9.0", fails=True) == "Type a version above 0.9.0.\n"

    assert clone.run(*release, "0.10.0") == ""
    assert re.search(r"^## 0\.10\.0 \(\d{4}-\d\d-\d\d\)\n\n- More\.\n\n## 0\.9\.0", changes.read_text(), re.MULTILINE)
    assert 'version = "0.10.0"' in (clone.path / "pyproject.toml").read_text()
    written = Promises(**yaml.safe_load((clone.path / RECORD.relative_to(REPOSITORY)).read_text()))
    assert written == Promises.released() | NOW
    clone.commit("Release 0.10.0")
    clone.run("git", "tag", "v0.10.0")
    assert Promises.of_tag(clone, "v0.10.0") == NOW

    assert "Write what changes into CHANGELOG.md first" in clone.run(*release, "0.11.0", fails=True)
    changes.write_text(changes.read_text().replace("## ", "## Unreleased\n\n- Less.\n\n## ", 1))
    module = clone.path / "template/src/app/retry.py"
    module.rename(module.with_name("again.py"))
    assert clone.run(*release, "0.11.0", fails=True).startswith("Put /src/app/retry.py into _exclude")
    shutil.copy(module.with_name("again.py"), module)
    assert clone.run(*release, "0.10.1", fails=True) == "Type 0.11.0: a patch does not bring src/app/again.py.\n"
    questionnaire = clone.path / "copier.yml"
    questionnaire.write_text(re.sub(r'(_min_copier_version): ".+"', r'\1: "9.16.0"', questionnaire.read_text()))
    assert clone.run(*release, "0.11.0", fails=True).startswith(
        "Type 1.0.0: it needs Copier 9.16.0, and services have "
    )
