"""Each rendered file has one owner, and released files stay, so no update takes a file from its user."""

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
    """Each rule about owners matches a path."""
    paths = Promises.released().every_path() | NOW.every_path()
    assert matching(NOW.yours, paths) & matching(NOW.brought, paths) == set()
    assert [pattern for pattern in [*NOW.yours, *NOW.brought] if not matching([pattern], paths)] == []


def test_user_files_are_in_every_render() -> None:
    """A user's file must be in the first render: an update cannot add it later, and must not restore a deleted file."""
    always: dict[object, set[frozenset[str]]] = {}
    for chosen in NOW.every_choice(sorted(NOW.deciding())):
        paths = NOW.rendered(chosen)
        always.setdefault(chosen["framework"], set()).add(frozenset(matching(NOW.yours, paths)))
        assert chosen["features"] or not matching(NOW.brought, paths)
    assert [len(different) for different in always.values()] == [1] * len(choices(QUESTIONS["framework"]))


def test_files_of_unchosen_features_are_excluded() -> None:
    """Both lists in copier.yml are equal for each feature."""
    kept = {feature: set(excluded(CONFIGURATION, [feature], "/my_copy.d")) - {*NOW.yours} for feature in FEATURES}
    assert set().union(*kept.values()) == set(NOW.brought)
    for chosen in NOW.every_choice(sorted(NOW.deciding())):
        for feature in FEATURES:
            assert feature in str(chosen["features"]) or not matching(kept[feature], NOW.rendered(chosen)), feature


# The template's files in src/app and tests.
OF_THE_TEMPLATE = (
    "/src/app/core",
    "/src/app/__init__.py",
    "/src/app/__main__.py",
    "/src/app/wsgi.py",
    "/tests/core",
    "/tests/conftest.py",
)


def test_template_owns_only_core() -> None:
    """In src/app and tests, only core belongs to the template: updates bring fixes, and change no other file."""
    paths = {path for path in NOW.every_path() if path.startswith(("src/app/", "tests/"))}
    core = matching(OF_THE_TEMPLATE, paths)
    assert matching([*NOW.yours, *NOW.brought], paths) == paths - core


@pytest.mark.deep
@pytest.mark.parametrize("answers", once(PROFILES))
def test_contributing_lists_the_owners(render: Callable[..., Project], answers: Answers) -> None:
    project = render(**answers)
    text = (project.path / "CONTRIBUTING.md").read_text()
    rows = dict(re.findall(r"^\| (the template|you|neither) \| (.+) \| .+ \|$", text, re.MULTILINE))
    assert rows.keys() == {"the template", "you", "neither"}
    said = {owner: {f"/{path}" for path in re.findall(r"`([^`]+)`", row)} for owner, row in rows.items()}
    assert {"/src/app", "/tests"} <= said["you"]
    paths = {str(path) for path in project.files()}
    outside = {path for path in paths if not path.startswith(("src/app/", "tests/"))}
    assert matching(said["you"], outside) == matching([*NOW.yours, *NOW.brought], outside)
    assert {path for path in OF_THE_TEMPLATE if matching([path], paths)} <= said["the template"] | {
        "/src/app/__init__.py"
    }


def test_released_promises_are_kept() -> None:
    assert Promises.released().broken_by(NOW) == []


def test_each_release_is_recorded() -> None:
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
        (_narrow, "Missing choice MIT of license: "),
        (_retype, "Changed type of python_version: "),
        (_drop, "Missing question author_email: "),
        (_take_over, "Changed owner of /README.md: "),
        (_move, "Path /.python-versions is not rendered: add it to _exclude of copier.yml, or an update deletes it."),
    ],
)
def test_broken_promise_is_reported(change: Callable[[dict[str, Any]], None], sentence: str) -> None:
    configuration = copy.deepcopy(CONFIGURATION)
    change(configuration)
    assert sentence in "\n".join(NOW.broken_by(Promises.of(configuration, FILES)))


@pytest.mark.deep
@pytest.mark.parametrize("path", ["src/app/core/retries.py", "{{ example }}/src/app/products/schemas.py"])
def test_removed_path_is_reported_unless_excluded(path: str) -> None:
    """Also a user's path of a feature: the renders beside the project contain it."""
    fewer = [file for file in FILES if file != Path(path)]
    gone = re.sub(r"^\{\{ \w+ \}\}", "", path).removeprefix("/")
    assert NOW.broken_by(Promises.of(CONFIGURATION, fewer)) == [
        f"Path /{gone} is not rendered: add it to _exclude of copier.yml, or an update deletes it."
    ]
    kept = CONFIGURATION | {"_exclude": [*CONFIGURATION["_exclude"], f"/{gone}"]}
    assert NOW.broken_by(Promises.of(kept, fewer)) == []


@pytest.mark.deep
def test_renamed_question_reads_the_old_answer() -> None:
    configuration = copy.deepcopy(CONFIGURATION)
    question = configuration.pop("package_manager")
    configuration["manager"] = question | {"default": "{{ package_manager | default('uv') }}"}
    for name in choices(question):
        configuration[name]["default"] = configuration[name]["default"].replace("package_manager", "manager")
    assert NOW.broken_by(Promises.of(configuration, FILES)) == []


def test_version_matches_the_changelog() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    written = [heading.split()[0] for heading in changelog() if heading != "Unreleased"]
    assert [version, *written[1:]] == written or not written


@pytest.mark.deep
def test_release_script_records_a_release(template: Path, tmp_path: Path) -> None:
    clone = Project(shutil.copytree(template, tmp_path / "template"))
    changes = clone.path / "CHANGELOG.md"
    changes.write_text("# Changelog\n\n## Unreleased\n\n- More.\n\n## 0.9.0 (2026-01-01)\n\n- Something.\n")
    release = (sys.executable, "tests/release.py")
    assert clone.run(*release, "1.0", fails=True) == "Invalid version 1.0: use a version like 1.2.0.\n"
    assert clone.run(*release, "0.9.0", fails=True) == "Version 0.9.0 is too low: the newest release is 0.9.0.\n"

    assert clone.run(*release, "0.10.0") == ""
    assert re.search(r"^## 0\.10\.0 \(\d{4}-\d\d-\d\d\)\n\n- More\.\n\n## 0\.9\.0", changes.read_text(), re.MULTILINE)
    assert 'version = "0.10.0"' in (clone.path / "pyproject.toml").read_text()
    written = Promises(**yaml.safe_load((clone.path / RECORD.relative_to(REPOSITORY)).read_text()))
    assert written == Promises.released() | NOW
    clone.commit("Release 0.10.0")
    clone.run("git", "tag", "v0.10.0")
    assert Promises.of_tag(clone, "v0.10.0") == NOW

    assert "Missing changes in CHANGELOG.md" in clone.run(*release, "0.11.0", fails=True)
    changes.write_text(changes.read_text().replace("## ", "## Unreleased\n\n- Less.\n\n## ", 1))
    module = clone.path / "template/src/app/core/retries.py"
    module.rename(module.with_name("again.py"))
    assert clone.run(*release, "0.11.0", fails=True).startswith("Path /src/app/core/retries.py is not rendered")
    shutil.copy(module.with_name("again.py"), module)
    assert clone.run(*release, "0.10.1", fails=True) == "Use 0.11.0: a patch must not add src/app/core/again.py.\n"
    facade = clone.path / "template/{{ django }}/src/app/core/__init__.py"
    names = facade.read_text()
    facade.write_text(names.replace('    "BaseSchema",\n', ""))
    assert clone.run(*release, "0.11.0", fails=True) == ("Use 1.0.0: core no longer has BaseSchema.\n")
    facade.write_text(names)
    questionnaire = clone.path / "copier.yml"
    questionnaire.write_text(re.sub(r'(_min_copier_version): ".+"', r'\1: "9.20.0"', questionnaire.read_text()))
    assert clone.run(*release, "0.11.0", fails=True).startswith("Use 1.0.0: the minimum Copier changes from ")
