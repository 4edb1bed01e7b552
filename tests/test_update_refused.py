"""An update that cannot be: one sentence, which docs/troubleshooting.md knows, and nothing lost."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import COPIER, Project, release

pytestmark = pytest.mark.deep

Spoil = Callable[[Project], None]
ANSWERS = ".copier-answers.yml"
MANAGED = Path("src/app/retry.py")


def answers(pattern: str, text: str) -> Spoil:
    """Changes what the answers file says."""

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
        answers(r"^features:\n(?:[- ].*\n)+", ""),
        "Put the line that begins with …: back into .copier-answers.yml, and commit.",
    ),
    "no choice": (answers(r"^license: .*$", "license: WTFPL"), "Invalid choice for '…'"),
}


@pytest.mark.parametrize(("spoil", "sentence"), SPOILT.values(), ids=SPOILT)
def test_it_is_refused_with_a_sentence_that_the_page_knows(
    project: Callable[..., Project], spoil: Spoil, sentence: str
) -> None:
    service = project()
    page = (service.path / "docs/troubleshooting.md").read_text()
    headings = "\n".join(re.findall(r"^### .*$", page[page.index("## Updates") :], re.MULTILINE))
    assert f"`{sentence}`" in headings

    spoil(service)
    before = {path: (service.path / path).read_bytes() for path in service.files()}
    said = service.run(COPIER, "update", "--defaults", fails=True)
    pattern = ".*".join(map(re.escape, sentence.split("…")))
    assert re.search(pattern, "\n".join(said.splitlines()[-8:])), said
    assert {path: (service.path / path).read_bytes() for path in service.files()} == before


def test_a_name_that_becomes_a_dependencys_is_told_and_kept(
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
    sentence = f"Type another name, like {slug}-service: {slug} is a package that it depends on."
    assert sentence in " ".join(said.split())
    assert service.run("git", "status", "--porcelain") == ""
    service.run(COPIER, "update", "--defaults", "--quiet", "--data=project_slug=another")
    assert service.toml()["project"]["name"] == "another"


def test_it_goes_forward_only(project: Callable[..., Project], template: Path, tmp_path: Path) -> None:
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


def test_an_answer_that_was_changed_by_hand_changes_nothing(project: Callable[..., Project]) -> None:
    service = project()
    answers(r"^license: .*$", "license: MIT")(service)
    service.run(COPIER, "update", "--defaults", "--quiet")
    assert service.run("git", "status", "--porcelain") == ""
    assert "All rights reserved" in (service.path / "LICENSE").read_text()


def test_a_template_that_moved_and_lost_a_release_is_found_again(
    project: Callable[..., Project], template: Path, tmp_path: Path
) -> None:
    """As docs/troubleshooting.md says: the address and the nearest release, by hand."""
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
