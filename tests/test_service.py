"""Installed renders: all that their own `poe check` checks, and their git hooks."""

import re

import pytest
import yaml
from conftest import Project

pytestmark = pytest.mark.deep


def steps_of_ci(service: Project) -> list[str]:
    """The commands of the job that checks everything, as a shell gets them; without CI, those that a person types."""
    github, gitlab = (service.path / path for path in (".github/workflows/ci.yml", ".gitlab-ci.yml"))
    if github.exists():
        steps = yaml.safe_load(github.read_text())["jobs"]["check"]["steps"]
        return [step["run"] for step in steps if "run" in step]
    if gitlab.exists():
        script: list[str] = yaml.safe_load(gitlab.read_text())["check"]["script"]
        return script
    return ["poe check", "prek run --all-files"]


def test_what_ci_checks_passes(service: Project) -> None:
    steps = steps_of_ci(service)
    assert "poe check" in steps
    assert [step for step in steps if step.startswith("prek run --all-files")]
    for step in steps:
        service.run_inside("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step)


def test_its_git_hooks_refuse_a_conflict_that_was_left(service: Project) -> None:
    readme = service.path / "README.md"
    whole = readme.read_text()
    readme.write_text(f"{whole}<<<<<<< before updating\nmine\n=======\ntheirs\n>>>>>>> after updating\n")
    try:
        output = service.run_inside("prek", "run", "--all-files", fails=True)
        assert re.search(r"^no conflict markers\.+Failed$", output, re.MULTILINE)
    finally:
        readme.write_text(whole)
