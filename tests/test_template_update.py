"""The script that CI runs once a week: `copier update` on a branch, checked, with a report of what happened."""

import os
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
    """Makes a release of the service's template, in which a file of the template ends otherwise, or is new."""

    def releases(version: str, path: str, line: str) -> None:
        work = Project(tmp_path / "work")
        if not work.path.exists():
            shutil.copytree(origin.path, work.path)
        file = work.path / "template" / path
        with file.open("a") as text:
            text.write(f"{line}\n")
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


def test_what_is_printed_after_an_update_locks_anew_for_poetry(
    origin: Project, releases: Callable[..., None], poetry: dict[str, str], tmp_path: Path
) -> None:
    service = first_release(origin, tmp_path, poetry, "poetry")
    releases("1.1.0", "pyproject.toml.jinja", '\n[tool.poetry.group.more.dependencies]\ncolorama = "*"')
    (printed,) = re.findall(r"^    (.+) && .+ poe check$", service.run(COPIER, "update", "--defaults"), re.MULTILINE)
    assert f"`{printed}`" in (service.path / "docs/updating.md").read_text()
    service.run("sh", "-ec", printed)
    service.run_inside("python", "-c", "import colorama")


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
    said = update(service, fails=True)
    assert said == "Commit what is changed first: an update needs a clean working tree.\n M README.md\n"
    assert service.run("git", "status", "--porcelain") == " M README.md\n"
    assert service.run("git", "branch", "--show-current") == "main\n"


@pytest.fixture
def quick(origin: Project, tmp_path: Path) -> Project:
    """A service whose uvx knows the Copier of this test run alone, and whose uv finds everything in order."""
    environment, tools = clean_environment(), tmp_path / "tools"
    tools.mkdir()
    for name, line in {"uvx": f'shift 3; exec {COPIER} "$@"', "uv": "touch uv.lock"}.items():
        (tools / name).write_text(f"#!/bin/sh\n{line}\n")
        (tools / name).chmod(0o755)
    environment["PATH"] = f"{tools}{os.pathsep}{environment['PATH']}"
    return first_release(origin, tmp_path, environment)


def with_environment(service: Project, **variables: str) -> Project:
    return Project(service.path, {**service.environment, **variables})


def state(service: Project) -> list[str]:
    """All that the script may leave behind."""
    asked = (["status", "--porcelain", "--branch", "--untracked-files=all"], ["for-each-ref"], ["rev-parse", "HEAD"])
    return [service.run("git", *question) for question in asked]


@pytest.mark.parametrize("place", ["refs/heads", "refs/remotes/origin"])
def test_what_was_proposed_before_stays(quick: Project, releases: Callable[..., None], place: str) -> None:
    quick.run("git", "update-ref", f"{place}/template/v1.1.0", "HEAD")
    releases("1.1.0", "src/app/retry.py", "# better")
    before = state(quick)
    assert update(quick) == "Nothing to do: template/v1.1.0 was proposed before, and may hold commits of yours.\n"
    assert state(quick) == before


def test_a_merge_is_finished_first(quick: Project) -> None:
    quick.run("git", "switch", "--quiet", "--create", "other")
    quick.run("git", "commit", "--quiet", "--allow-empty", "--message=Other")
    quick.run("git", "switch", "--quiet", "main")
    quick.run("git", "merge", "--quiet", "--no-commit", "--no-ff", "other")
    assert update(quick, fails=True) == "Finish the merge first, or abort it: an update is a commit of its own.\n"
    quick.run("git", "rev-parse", "--verify", "MERGE_HEAD")


def test_an_update_that_dies_halfway_is_undone(quick: Project, releases: Callable[..., None]) -> None:
    """As where something was rejected before, and git has not shown it."""
    with (quick.path / ".gitignore").open("a") as text:
        text.write("*.rej\n")
    quick.commit("Look away")
    (quick.path / "gone.py.rej").touch()
    releases("1.1.0", "docs/more.md", "Good to know.")
    before = state(quick)
    said = update(quick, fails=True)
    assert said.endswith("`uvx --from copier>=9.15,<10 copier …` failed: what it said stands above.\n")
    assert state(quick) == before


def test_a_commit_that_fails_is_undone(quick: Project, releases: Callable[..., None]) -> None:
    nobody = {name: "" for name in quick.environment if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))}
    releases("1.1.0", "docs/more.md", "Good to know.")
    before = state(quick)
    assert "`git commit --quiet --no-verify …` failed" in update(with_environment(quick, **nobody), fails=True)
    assert state(quick) == before


@pytest.mark.parametrize(("manager", "missing"), [("uv", "git"), ("uv", "uv"), ("uv", "uvx"), ("poetry", "pipx")])
def test_a_program_that_is_missing_is_one_sentence(quick: Project, tmp_path: Path, manager: str, missing: str) -> None:
    if manager != "uv":
        answer_by_hand(quick, f"package_manager: {manager}")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in {"git", "uv", "uvx", "poetry", "pipx"} - {missing}:
        (programs / name).symlink_to(shutil.which("git") or "")
    said = update(with_environment(quick, PATH=str(programs)), fails=True)
    assert said == f"Install {missing}, or put it on the PATH: an update takes it.\n"


def answer_by_hand(service: Project, line: str) -> None:
    path, name = service.path / ".copier-answers.yml", line.partition(":")[0]
    path.write_text(re.sub(rf"^{name}: .*$", line, path.read_text(), flags=re.MULTILINE))
    service.commit("Change an answer by hand")


def test_a_package_manager_that_there_is_not_is_one_sentence(quick: Project) -> None:
    answer_by_hand(quick, "package_manager: pdm")
    said = update(quick, fails=True)
    assert said == "Put back what package_manager was in .copier-answers.yml, uv or poetry: pdm is neither.\n"


def test_a_project_without_answers_is_one_sentence(quick: Project) -> None:
    (quick.path / ".copier-answers.yml").unlink()
    said = update(quick, fails=True)
    wanted = f"There is no .copier-answers.yml in {quick.path}: an update cannot know where the project stands.\n"
    assert said == wanted


def test_it_starts_anywhere_and_brings_the_first_lock(
    quick: Project, releases: Callable[..., None], tmp_path: Path
) -> None:
    quick.run("git", "rm", "--quiet", "uv.lock")
    quick.commit("Have no lock")
    releases("1.1.0", "docs/more.md", "Good to know.")
    Project(tmp_path, quick.environment).run(sys.executable, str(quick.path / SCRIPT))
    assert report(quick).startswith("Update from the template: v1.0.0 to v1.1.0\n")
    assert quick.run("git", "ls-files", "uv.lock") == "uv.lock\n"


SETTINGS = {
    "whitespace": "[apply]\n\twhitespace = error\n",
    "untracked files": "[status]\n\tshowUntrackedFiles = no\n",
    "excluded files": "[core]\n\texcludesFile = {}\n",
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_settings_of_the_machine_take_no_edit_back(
    quick: Project, releases: Callable[..., None], setting: str, tmp_path: Path
) -> None:
    """Each by itself makes Copier do so. Those that the environment gives already hold on."""
    ignored, edited, contested = tmp_path / "ignored", quick.path / "src/app/pagination.py", quick.path / PAGE
    ignored.write_text("pagination.py\n")
    (tmp_path / "settings").write_text(setting.format(ignored))
    (quick.path / "blanks.txt").write_text("blanks at the end  \n")
    for path in (edited, contested):
        path.write_text(f"{path.read_text()}# mine\n")
    quick.commit("Work")
    releases("1.1.0", f"{PAGE}.jinja", "The template's.")
    identity = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "Somebody"}
    given = {name: value for name, value in quick.environment.items() if not name.endswith("_NAME")}
    update(Project(quick.path, {**given, **identity, "GIT_CONFIG_GLOBAL": str(tmp_path / "settings")}))
    assert f"\n## Conflicts\n\n- `{PAGE}`\n" in report(quick)
    assert "# mine\n" in edited.read_text()
    assert "# mine\n" in contested.read_text()
    assert quick.run("git", "log", "-1", "--format=%an") == "Somebody\n"
