"""A failed update prints one sentence, which docs/troubleshooting.md lists, and changes nothing."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import COPIER, Project, release

pytestmark = pytest.mark.deep

Spoil = Callable[[Project], None]
ANSWERS = ".copier-answers.yml"
MANAGED = Path("src/app/core/retries.py")


def answers(pattern: str, text: str) -> Spoil:
    """Change a line of the answers file."""

    def spoil(project: Project) -> None:
        file = project.path / ANSWERS
        changed, times = re.subn(pattern, lambda _: text, file.read_text(), flags=re.MULTILINE)
        assert times
        file.write_text(changed)
        project.commit("Change the answers by hand")

    return spoil


def dirty(project: Project) -> None:
    (project.path / MANAGED).write_text("mine\n")


def untracked(project: Project) -> None:
    (project.path / "notes.txt").write_text("mine\n")


def without_git(project: Project) -> None:
    shutil.rmtree(project.path / ".git")


def without_answers(project: Project) -> None:
    project.run("git", "rm", "--quiet", ANSWERS)
    project.commit("Remove the answers")


WHOLE = r"(?s)\A.*\Z"
FEATURES = r"^features:(\n- .*)*$"
SPOILT: dict[str, tuple[Spoil, str]] = {
    "dirty": (dirty, "Destination repository is dirty; cannot continue."),
    "untracked": (untracked, "Destination repository is dirty; cannot continue."),
    "without git": (without_git, "Updating is only supported in git-tracked subprojects."),
    "without answers": (without_answers, "Template not found"),
    "empty answers": (answers(WHOLE, ""), "'NoneType' object has no attribute 'items'"),
    "no YAML": (answers(WHOLE, "a: ["), ".copier-answers.yml"),
    "no release": (answers(r"^_commit: .*\n", ""), "cannot obtain old template references"),
    "no template": (answers(r"^_src_path: .*\n", ""), "Template not found"),
    "release that is gone": (answers(r"^_commit: .*$", "_commit: v0.0.9"), "Unknown revision: 'v…'"),
    "template that moved": (answers(r"^(_src_path: .*)$", "_src_path: /gone"), "Local template must be a directory."),
    "remote that moved": (answers(r"^(_src_path: .*)$", "_src_path: file:///gone.git"), "git ls-remote"),
    "lost answer": (
        answers(FEATURES, ""),
        "Missing answer …: put its line back into .copier-answers.yml, and commit.",
    ),
    "empty answer": (answers(r"^project_name: .*$", "project_name:"), "Invalid answer"),
    "features that are a word": (answers(FEATURES, "features: example"), "Not a YAML list"),
    "features that are nothing": (answers(FEATURES, "features:"), "'NoneType' object is not iterable"),
    "no choice": (answers(r"^license: .*$", "license: WTFPL"), "Invalid choice for '…'"),
}


@pytest.mark.parametrize(("spoil", "sentence"), SPOILT.values(), ids=SPOILT)
def test_message_of_a_refused_update_is_documented(
    project: Callable[..., Project], spoil: Spoil, sentence: str
) -> None:
    service = project()
    spoil(service)
    before = contents(service)
    refused(service, sentence)
    assert contents(service) == before


def refused(service: Project, sentence: str, *options: str) -> None:
    page = (service.path / "docs/troubleshooting.md").read_text()
    headings = "\n".join(re.findall(r"^### .*$", page[page.index("## Updates") :], re.MULTILINE))
    assert f"`{sentence}`" in headings

    said = service.run(COPIER, "update", "--defaults", *options, fails=True)
    pattern = ".*".join(map(re.escape, sentence.split("…")))
    assert re.search(pattern, "\n".join(said.splitlines()[-8:])), said


def contents(project: Project) -> dict[Path, bytes]:
    return {path: (project.path / path).read_bytes() for path in project.files()}


def folder_for_a_file(project: Project) -> None:
    (project.path / MANAGED).unlink()
    (project.path / MANAGED).mkdir()
    (project.path / MANAGED / "mine.txt").touch()


def file_for_a_folder(project: Project) -> None:
    shutil.rmtree(project.path / "benchmarks")
    (project.path / "benchmarks").touch()


def link_out_of_the_project(project: Project) -> None:
    moved = (project.path / "benchmarks").rename(project.path.with_name("moved"))
    (project.path / "benchmarks").symlink_to(moved)


def ignored_leftover(project: Project) -> None:
    with (project.path / ".gitignore").open("a") as text:
        text.write("*.rej\n")
    (project.path / "gone.py.rej").touch()


STOPPED: dict[str, tuple[Spoil, str]] = {
    "folder for a file": (folder_for_a_file, "AssertionError"),
    "file for a folder": (file_for_a_folder, "FileExistsError"),
    "link out of the project": (link_out_of_the_project, '"…" is forbidden'),
    "ignored leftover": (ignored_leftover, "pathspec '…' did not match"),
}


@pytest.mark.parametrize(("spoil", "sentence"), STOPPED.values(), ids=STOPPED)
def test_update_traceback_is_documented_and_undone(
    project: Callable[..., Project], spoil: Spoil, sentence: str
) -> None:
    service = project()
    spoil(service)
    service.commit("Spoil it")
    before = contents(service)
    refused(service, sentence)
    page = (service.path / "docs/updating.md").read_text()
    service.run("sh", "-ec", *re.findall(r"^git restore --source=HEAD .*$", page, re.MULTILINE))
    assert contents(service) == before


def test_update_through_link_or_subfolder_is_refused(project: Callable[..., Project], tmp_path: Path) -> None:
    service = project()
    refused(service, "Template not found", "src")
    (tmp_path / "link").symlink_to(service.path)
    refused(service, "is not in the subpath of", str(tmp_path / "link"))
    assert service.run("git", "status", "--porcelain") == ""


def test_update_refuses_slug_that_became_a_dependency(
    project: Callable[..., Project], template: Path, tmp_path: Path
) -> None:
    origin = shutil.copytree(template, tmp_path / "origin")
    service = project()
    slug = service.toml()["project"]["name"]
    packages = origin / "hooks/packages.txt"
    packages.write_text(f"{packages.read_text().rstrip()} {slug}\n")
    release(origin, "v0.0.2")
    answers(r"^_src_path: .*$", f"_src_path: {origin}")(service)
    said = service.run(COPIER, "update", "--defaults", fails=True)
    sentence = f"Name of a dependency: use another slug, for example {slug}-service."
    assert sentence in " ".join(said.split())
    assert service.run("git", "status", "--porcelain") == ""
    service.run(COPIER, "update", "--defaults", "--quiet", "--data=project_slug=another")
    assert service.toml()["project"]["name"] == "another"


def test_downgrade_is_refused(project: Callable[..., Project], template: Path, tmp_path: Path) -> None:
    origin = shutil.copytree(template, tmp_path / "origin")
    managed = origin / "template" / MANAGED
    managed.write_text(f"{managed.read_text()}# changed\n")
    release(origin, "v0.0.2")
    service = project()
    answers(r"^_src_path: .*$", f"_src_path: {origin}")(service)
    answers(r"^_commit: .*$", "_commit: v0.0.2")(service)
    said = service.run(COPIER, "update", "--defaults", "--vcs-ref=v0.0.1", fails=True)
    assert said.startswith("You are downgrading from 0.0.2 to 0.0.1.")
    assert service.run("git", "status", "--porcelain") == ""


def test_edited_answer_has_no_effect(project: Callable[..., Project]) -> None:
    service = project()
    answers(r"^license: .*$", "license: MIT")(service)
    service.run(COPIER, "update", "--defaults", "--quiet")
    assert service.run("git", "status", "--porcelain") == ""
    assert "All rights reserved" in (service.path / "LICENSE").read_text()


def test_documented_steps_update_from_moved_template(
    project: Callable[..., Project], template: Path, tmp_path: Path
) -> None:
    """With the steps of docs/troubleshooting.md: the new address and the nearest release."""
    origin = shutil.copytree(template, tmp_path / "elsewhere")
    managed = origin / "template" / MANAGED
    for tag in ("v0.0.2", "v0.0.3"):
        managed.write_text(f'"""{tag}"""\n{managed.read_text()}')
        release(origin, tag)
    Project(origin).run("git", "tag", "--delete", "v0.0.1")

    service = project()
    (service.path / MANAGED).write_text(f"{(service.path / MANAGED).read_text()}# mine\n")
    answers(r"^_src_path: .*$", f"_src_path: {origin}")(service)
    said = service.run(COPIER, "update", "--defaults", fails=True)
    assert said.splitlines()[-1] == "ValueError: Unknown revision: 'v0.0.1'"

    answers(r"^_commit: .*$", "_commit: v0.0.2")(service)
    service.run(COPIER, "update", "--defaults", "--quiet")
    text = (service.path / MANAGED).read_text()
    assert text.startswith('"""v0.0.3"""\n') or "<<<<<<< before updating" in text
    assert text.endswith("# mine\n")
