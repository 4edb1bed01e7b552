"""The script that CI runs once a week: `copier update` on a branch, checked, with a report of what happened."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import COPIER, Project, clean_environment, release

pytestmark = pytest.mark.deep

SCRIPT = "scripts/template_update.py"
PAGE = "docs/troubleshooting.md"


@pytest.fixture(scope="module")
def origin(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A release of the template, bare as a server keeps it, whose services install in a second: `poe check` is ruff."""
    work = Project(shutil.copytree(template, tmp_path_factory.mktemp("releases") / "work"))
    path = work.path / "template/pyproject.toml.jinja"
    text = re.sub(r"^dependencies = \[.*?^\]", "dependencies = []", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^dev = \[.*?^\]", 'dev = ["poethepoet", "ruff"]', text, flags=re.DOTALL | re.MULTILINE)
    path.write_text(re.sub(r"^    \{ cmd = \"(mypy|lint-imports|pytest --cov)\" \},\n", "", text, flags=re.MULTILINE))
    write_changelog(work.path, "1.0.0")
    release(work.path, "v1.0.0")
    work.run("git", "clone", "--quiet", "--bare", ".", "../template.git")
    work.run("git", "remote", "add", "origin", "../template.git")
    return work


def write_changelog(folder: Path, *versions: str) -> None:
    (folder / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n- Not yet.\n"
        + "".join(f"\n## {version}\n\n- What {version} brings.\n" for version in versions)
    )


@pytest.fixture
def service(origin: Project, tmp_path: Path) -> Project:
    return first_release(origin, tmp_path, clean_environment() | {"UV_PROJECT_ENVIRONMENT": str(tmp_path / "venv")})


def first_release(origin: Project, folder: Path, environment: dict[str, str], manager: str = "uv") -> Project:
    """A service of the first release, installed from a lock, whatever has been released since."""
    bare = shutil.copytree(origin.path.with_name("template.git"), folder / "template.git")
    answer = f"--data=package_manager={manager}"
    Project(folder).run(COPIER, "copy", "--defaults", "--quiet", "--vcs-ref=v1.0.0", answer, bare, "service")
    service = Project(folder / "service", environment, manager)
    service.run(manager, "lock", "--quiet")
    service.commit("Render")
    service.run("git", "branch", "--move", "main")
    return service


@pytest.fixture
def releases(origin: Project, tmp_path: Path) -> Callable[..., None]:
    """Makes a release of the service's template, in which a file of the template ends otherwise."""

    def releases(version: str, path: str, line: str) -> None:
        work = Project(tmp_path / "work")
        if not work.path.exists():
            shutil.copytree(origin.path, work.path)
        file = work.path / "template" / path
        file.write_text(f"{file.read_text()}{line}\n")
        write_changelog(work.path, *sorted({version, "1.1.0", "1.0.0"}, reverse=True))
        release(work.path, f"v{version}")
        work.run("git", "push", "--quiet", "--tags", "origin", "HEAD")

    return releases


def update(service: Project, *, fails: bool = False) -> str:
    return service.run(sys.executable, SCRIPT, fails=fails)


def report(service: Project) -> str:
    assert service.run("git", "status", "--porcelain") == ""
    assert service.run("git", "log", "--format=%s", "main..").count("\n") == 1
    return service.run("git", "log", "-1", "--format=%B")


def test_there_may_be_nothing_to_do(service: Project) -> None:
    assert update(service).startswith("Nothing to do: the project is rendered from v1.0.0, ")
    assert service.run("git", "branch", "--show-current") == "main\n"
    assert service.run("git", "status", "--porcelain") == ""


def test_a_clean_update_is_one_commit_that_says_what_it_brings(
    service: Project, releases: Callable[..., None], tmp_path: Path
) -> None:
    releases("1.1.0", "src/app/retry.py", "\n\n# better")
    releases("1.2.0", f"{PAGE}.jinja", "Also good to know.")
    update(service)
    said = report(service)
    assert said.startswith("Update from the template: v1.0.0 to v1.2.0\n\n## `poe check`\n\nIt passes.\n")
    assert "\n### 1.2.0\n\n- What 1.2.0 brings.\n" in said
    assert "\n### 1.1.0\n\n- What 1.1.0 brings.\n" in said
    assert not re.search("What 1.0.0 brings|Not yet|## Conflicts", said)
    assert re.search(r"src/app/retry\.py +\| 3 \+", said)
    assert service.run("git", "branch", "--show-current") == "template/v1.2.0\n"

    # What the workflow hands over to the job that may write holds it all.
    github = yaml.safe_load((service.path / ".github/workflows/template.yml").read_text())
    (pack,) = [step["run"] for step in github["jobs"]["update"]["steps"] if step.get("id") == "bundle"]
    output = tmp_path / "output"
    Project(service.path, {**service.environment, "GITHUB_OUTPUT": str(output)}).run(
        "bash", "-eo", "pipefail", "-c", pack
    )
    assert output.read_text() == "branch=template/v1.2.0\n"
    elsewhere = Project(tmp_path / "elsewhere")
    service.run("git", "clone", "--quiet", "--branch=main", "--depth=1", f"file://{service.path}", elsewhere.path)
    elsewhere.run("git", "fetch", "--quiet", service.path / "update.bundle", "template/v1.2.0:template/v1.2.0")
    assert elsewhere.run("git", "log", "-1", "--format=%B", "template/v1.2.0") == said


def test_poetry_brings_the_same(
    origin: Project, releases: Callable[..., None], poetry: dict[str, str], tmp_path: Path
) -> None:
    service = first_release(origin, tmp_path, poetry, "poetry")
    releases("1.1.0", "src/app/retry.py", "\n\n# better")
    update(service)
    assert report(service).startswith("Update from the template: v1.0.0 to v1.1.0\n\n## `poe check`\n\nIt passes.\n")


def test_a_conflict_is_named_and_what_is_the_users_stays(service: Project, releases: Callable[..., None]) -> None:
    page = service.path / PAGE
    page.write_text(f"{page.read_text()}Mine.\n")
    service.commit("Make it mine")
    releases("1.1.0", f"{PAGE}.jinja", "The template's.")
    update(service)
    said = report(service)
    assert f"\n## Conflicts\n\n- `{PAGE}`\n\nSettle them on this branch" in said
    assert re.search(r"^<{7} .*\nMine\.\n={7}\nThe template's\.\n>{7} ", page.read_text(), re.MULTILINE)


def test_a_check_that_fails_is_shown(service: Project, releases: Callable[..., None]) -> None:
    releases("1.1.0", "src/app/retry.py", "import nothing")
    update(service)
    said = report(service)
    assert "\n## `poe check`\n\nIt fails:\n\n~~~text\n" in said
    assert "src/app/retry.py" in said[said.index("It fails:") : said.index("## Release notes")]


def test_a_dirty_tree_is_left_alone(service: Project) -> None:
    (service.path / "README.md").write_text("Half written")
    assert update(service, fails=True) == "Commit what is changed first: an update needs a clean working tree.\n"
    assert service.run("git", "status", "--porcelain") == " M README.md\n"
    assert service.run("git", "branch", "--show-current") == "main\n"
