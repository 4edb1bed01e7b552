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
    said = [service.run_inside("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step) for step in steps]
    [covered] = re.findall(
        r"^Required test coverage of 85\.0% reached\. Total coverage: (.+)%$", "".join(said), re.MULTILINE
    )
    assert float(covered) >= 95
