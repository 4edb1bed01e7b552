"""`copier update`: what the template manages moves, and what is yours stays."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import COPIER, Project, release
from pytest_copie.plugin import Copie, Result
from questionnaire import BARE

MANAGED = Path("src/app/retry.py")
CONTESTED = Path("src/app/types.py")
YOURS = Path("src/app/users/service.py")
OF_THE_EXAMPLE = Path("src/app/orders/service.py")


@pytest.fixture
def origin(template: Path, tmp_path: Path) -> Path:
    """A template of its own, to make releases of."""
    return shutil.copytree(template, tmp_path / "origin")


def in_template(origin: Path, path: Path) -> Path:
    """Where the template keeps a rendered file, in whichever layer."""
    (found,) = (found for found in (origin / "template").glob(f"**/{path}") if "{{ django }}" not in found.parts)
    return found


def add_line(path: Path, line: str) -> None:
    path.write_text(f"{path.read_text()}{line}\n")


def under_git(result: Result) -> Project:
    assert result.exception is None
    assert result.project_dir is not None
    project = Project(result.project_dir)
    project.commit("Render")
    return project


def test_an_untouched_project_becomes_a_fresh_render(copie: Copie, origin: Path) -> None:
    """Also with answers that some file might have swallowed."""
    answers = {"project_name": '-dash: "{{ 7*7 }}" \\', "author_name": "null", "project_description": "# {% raw %} 'x'"}
    result = copie.copy(answers, template_dir=origin)
    untouched = under_git(result)
    add_line(in_template(origin, MANAGED), "# changed")
    release(origin, "v0.0.2")
    assert copie.update(result).exception is None

    fresh = under_git(copie.copy(answers, template_dir=origin))
    untouched.run("diff", "--recursive", "--exclude=.git", untouched.path, fresh.path)
    assert (untouched.path / MANAGED).read_text().endswith("# changed\n")


def test_yours_stays_and_managed_is_merged(copie: Copie, origin: Path) -> None:
    project = under_git(copie.copy(template_dir=origin))
    for path in (Path("README.md"), OF_THE_EXAMPLE, MANAGED, CONTESTED):
        add_line(project.path / path, "# mine")
    shutil.rmtree(project.path / "tests/users")
    project.commit("Make it mine")

    for path in (YOURS, OF_THE_EXAMPLE, CONTESTED, Path("README.md.jinja")):
        add_line(in_template(origin, path), "# the template's")
    managed = in_template(origin, MANAGED)
    managed.write_text(f"# the template's\n{managed.read_text()}")
    release(origin, "v0.0.2")
    message = project.run(COPIER, "update", "--defaults")

    changed = {line.split()[-1] for line in project.run("git", "status", "--porcelain").splitlines()}
    assert changed == {".copier-answers.yml", str(MANAGED), str(CONTESTED)}
    merged = (project.path / MANAGED).read_text()
    assert merged.startswith("# the template's\n")
    assert merged.endswith("# mine\n")
    assert "    git diff --check\n" in message
    conflicts = project.run("git", "diff", "--check", fails=True)
    assert {line.partition(":")[0] for line in conflicts.splitlines() if "conflict marker" in line} == {str(CONTESTED)}


def test_a_feature_that_is_added_later_brings_its_files(
    project: Callable[..., Project], render: Callable[..., Project]
) -> None:
    service = project(**BARE)
    service.run(COPIER, "update", "--defaults", "--quiet", "--data=features=[example]")
    assert service.files() == render().files()
    assert (service.path / OF_THE_EXAMPLE).read_bytes() == (render().path / OF_THE_EXAMPLE).read_bytes()


def test_a_feature_that_is_dropped_takes_its_files_away(
    project: Callable[..., Project], render: Callable[..., Project]
) -> None:
    service = project()
    service.run(COPIER, "update", "--defaults", "--quiet", "--data=features=[]")
    assert service.files() == render(**BARE).files()


def test_a_renamed_folder_renames_nothing(project: Callable[..., Project]) -> None:
    """A name that was taken from the folder is an answer like any other."""
    service = project()
    moved = Project(service.path.rename(service.path.with_name("elsewhere")))
    moved.run(COPIER, "recopy", "--defaults", "--overwrite", "--quiet")
    assert moved.run("git", "status", "--porcelain") == ""


def test_without_git_an_update_says_why_it_cannot(copie: Copie, template: Path) -> None:
    result = copie.update(copie.copy(template_dir=template))
    assert str(result.exception) == "Updating is only supported in git-tracked subprojects."


def test_a_project_keeps_its_framework(project: Callable[..., Project]) -> None:
    service = project()
    said = service.run(COPIER, "update", "--defaults", "--data=framework=django", fails=True)
    assert said.rstrip().endswith(
        "Keep fastapi: a project never changes its framework; render a new one beside it, and move what is yours."
    )
    assert service.run("git", "status", "--porcelain") == ""


def test_a_project_may_change_its_package_manager_and_back(
    project: Callable[..., Project], render: Callable[..., Project]
) -> None:
    service = project()
    for manager, profile in (("poetry", {"package_manager": "poetry"}), ("uv", {})):
        message = service.run(COPIER, "update", "--defaults", f"--data=package_manager={manager}")
        assert f"{manager} sync && {manager} run poe check" in message
        assert service.files() == render(**profile).files()
        for path in ("pyproject.toml", "AGENTS.md", ".pre-commit-config.yaml"):
            assert (service.path / path).read_bytes() == (render(**profile).path / path).read_bytes()
        service.commit()
