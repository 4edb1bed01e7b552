"""The weekly script of CI: `copier update` on a branch, with checks and a report."""

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
    """Make a small release of the template in a bare repository: `poe check` is only ruff, to install in a second."""
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
    """Render a service of the first release and install it from its lock file."""
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
    """Make a release of the template with one changed or new file."""

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


def update(service: Project, *options: str, fails: bool = False) -> str:
    """Run the script and return its output, without uv's own lines."""
    said = service.run(sys.executable, SCRIPT, *options, fails=fails)
    return re.sub(r"^ *(Resolved|Prepared|Downloading|Downloaded|Installed) .*\n", "", said, flags=re.MULTILINE)


def report(service: Project) -> str:
    assert service.run("git", "status", "--porcelain") == ""
    assert service.run("git", "log", "--format=%s", "main..").count("\n") == 1
    return service.run("git", "log", "-1", "--format=%B")


def test_update_without_a_release_changes_nothing(service: Project) -> None:
    assert update(service).startswith("Nothing to do: the project has v1.0.0, ")
    assert service.run("git", "branch", "--show-current") == "main\n"
    assert service.run("git", "status", "--porcelain") == ""


def test_clean_update_is_one_commit_with_report(
    service: Project, releases: Callable[..., None], tmp_path: Path
) -> None:
    releases("1.1.0", "src/app/core/retries.py", "\n\n# better")
    releases("1.2.0", f"{PAGE}.jinja", "Also good to know.")
    update(service)
    said = report(service)
    assert said.startswith("Update from the template: v1.0.0 to v1.2.0\n\n## `poe check`\n\nIt passes.\n")
    assert "\n### 1.2.0\n\n- What 1.2.0 brings.\n" in said
    assert "\n### 1.1.0\n\n- What 1.1.0 brings.\n" in said
    assert not re.search("What 1.0.0 brings|Not yet|## Conflicts", said)
    assert re.search(r"src/app/core/retries\.py +\| 3 \+", said)
    assert service.run("git", "branch", "--show-current") == "template/v1.2.0\n"

    # The bundle for the job with write permissions contains everything.
    github = yaml.safe_load((service.path / ".github/workflows/template.yml").read_text())
    (pack,) = [step["run"] for step in github["jobs"]["update"]["steps"] if step.get("id") == "bundle"]
    output = tmp_path / "output"
    Project(service.path, {**service.environment, "GITHUB_OUTPUT": str(output)}).run(
        "bash", "-eo", "pipefail", "-c", pack
    )
    commit = service.run("git", "rev-parse", "HEAD")
    assert output.read_text() == f"branch=template/v1.2.0\ncommit={commit}"
    elsewhere = Project(tmp_path / "elsewhere")
    service.run("git", "clone", "--quiet", "--branch=main", "--depth=1", f"file://{service.path}", elsewhere.path)
    elsewhere.run("git", "fetch", "--quiet", service.path / "update.bundle", "template/v1.2.0:template/v1.2.0")
    assert elsewhere.run("git", "log", "-1", "--format=%B", "template/v1.2.0") == said


def test_update_without_checks_runs_no_dependency(service: Project, releases: Callable[..., None]) -> None:
    """A compromised dependency could change the commit that CI pushes."""
    releases("1.1.0", "pyproject.toml.jinja", "\n# better")
    venv = Path(service.environment["UV_PROJECT_ENVIRONMENT"])
    assert not venv.exists()
    update(service, "--without-checks")
    assert not venv.exists(), "nothing was installed"
    said = report(service)
    assert said.startswith("Update from the template: v1.0.0 to v1.1.0\n\n## Release notes\n")
    assert service.run("git", "diff", "--name-only", "main..") == ".copier-answers.yml\npyproject.toml\n"


def test_poetry_project_is_updated(
    origin: Project, releases: Callable[..., None], poetry: dict[str, str], tmp_path: Path
) -> None:
    service = first_release(origin, tmp_path, poetry, "poetry")
    releases("1.1.0", "src/app/core/retries.py", "\n\n# better")
    update(service)
    assert report(service).startswith("Update from the template: v1.0.0 to v1.1.0\n\n## `poe check`\n\nIt passes.\n")


def test_printed_command_updates_the_poetry_lock(
    origin: Project, releases: Callable[..., None], poetry: dict[str, str], tmp_path: Path
) -> None:
    service = first_release(origin, tmp_path, poetry, "poetry")
    releases("1.1.0", "pyproject.toml.jinja", '\n[tool.poetry.group.more.dependencies]\ncolorama = "*"')
    (printed,) = re.findall(r"^    (.+) && .+ poe check$", service.run(COPIER, "update", "--defaults"), re.MULTILINE)
    assert f"`{printed}`" in (service.path / "docs/updating.md").read_text()
    service.run("sh", "-ec", printed)
    service.run_inside("python", "-c", "import colorama")


def test_conflict_is_reported_and_edits_stay(service: Project, releases: Callable[..., None]) -> None:
    page = service.path / PAGE
    page.write_text(f"{page.read_text()}Mine.\n")
    service.commit("Make it mine")
    releases("1.1.0", f"{PAGE}.jinja", "The template's.")
    update(service)
    said = report(service)
    assert f"\n## Conflicts\n\n- `{PAGE}`\n\nResolve them on this branch" in said
    assert re.search(r"^<{7} .*\nMine\.\n={7}\nThe template's\.\n>{7} ", page.read_text(), re.MULTILINE)


def test_failed_check_is_reported(service: Project, releases: Callable[..., None]) -> None:
    releases("1.1.0", "src/app/core/retries.py", "import nothing")
    update(service)
    said = report(service)
    assert "\n## `poe check`\n\nIt fails:\n\n~~~text\n" in said
    assert "src/app/core/retries.py" in said[said.index("It fails:") : said.index("## Release notes")]


def test_dirty_tree_is_refused(service: Project) -> None:
    (service.path / "README.md").write_text("Half written")
    said = update(service, fails=True)
    assert said == "Uncommitted changes: commit or stash them before the update.\n M README.md\n"
    assert service.run("git", "status", "--porcelain") == " M README.md\n"
    assert service.run("git", "branch", "--show-current") == "main\n"


@pytest.fixture
def quick(origin: Project, tmp_path: Path) -> Project:
    """Return a service. Its uvx runs this Copier, and its uv accepts everything."""
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
    """Return the state that a failed script could change: status, refs and HEAD."""
    asked = (["status", "--porcelain", "--branch", "--untracked-files=all"], ["for-each-ref"], ["rev-parse", "HEAD"])
    return [service.run("git", *question) for question in asked]


@pytest.mark.parametrize("place", ["refs/heads", "refs/remotes/origin"])
def test_existing_branch_is_kept(quick: Project, releases: Callable[..., None], place: str) -> None:
    quick.run("git", "update-ref", f"{place}/template/v1.1.0", "HEAD")
    releases("1.1.0", "src/app/core/retries.py", "# better")
    before = state(quick)
    assert update(quick) == "Nothing to do: the branch template/v1.1.0 exists and may contain your commits.\n"
    assert state(quick) == before


def test_unfinished_merge_is_refused(quick: Project) -> None:
    quick.run("git", "switch", "--quiet", "--create", "other")
    quick.run("git", "commit", "--quiet", "--allow-empty", "--message=Other")
    quick.run("git", "switch", "--quiet", "main")
    quick.run("git", "merge", "--quiet", "--no-commit", "--no-ff", "other")
    assert update(quick, fails=True) == "Unfinished merge: finish or abort it before the update.\n"
    quick.run("git", "rev-parse", "--verify", "MERGE_HEAD")


def test_failed_update_is_undone(quick: Project, releases: Callable[..., None]) -> None:
    """A rejected hunk of an earlier update (`*.rej`), which git ignores, makes Copier fail."""
    with (quick.path / ".gitignore").open("a") as text:
        text.write("*.rej\n")
    quick.commit("Look away")
    (quick.path / "gone.py.rej").touch()
    releases("1.1.0", "docs/more.md", "Good to know.")
    before = state(quick)
    said = update(quick, fails=True)
    assert said.endswith("`uvx --from copier>=9.19.1,<10 copier …` failed: see its output above.\n")
    assert state(quick) == before


def test_failed_commit_is_undone(quick: Project, releases: Callable[..., None]) -> None:
    anonymous = {name: "" for name in quick.environment if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))}
    releases("1.1.0", "docs/more.md", "Good to know.")
    before = state(quick)
    assert "`git commit --quiet --no-verify …` failed" in update(with_environment(quick, **anonymous), fails=True)
    assert state(quick) == before


@pytest.mark.parametrize(("manager", "missing"), [("uv", "git"), ("uv", "uv"), ("uv", "uvx"), ("poetry", "pipx")])
def test_missing_program_is_one_sentence(quick: Project, tmp_path: Path, manager: str, missing: str) -> None:
    if manager != "uv":
        answer_by_hand(quick, f"package_manager: {manager}")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in {"git", "uv", "uvx", "poetry", "pipx"} - {missing}:
        (programs / name).symlink_to(shutil.which("git") or "")
    said = update(with_environment(quick, PATH=str(programs)), fails=True)
    assert said == f"Missing program {missing}: install it or add it to the PATH.\n"


def answer_by_hand(service: Project, line: str) -> None:
    path, name = service.path / ".copier-answers.yml", line.partition(":")[0]
    path.write_text(re.sub(rf"^{name}: .*$", line, path.read_text(), flags=re.MULTILINE))
    service.commit("Change an answer by hand")


def test_unknown_package_manager_is_one_sentence(quick: Project) -> None:
    answer_by_hand(quick, "package_manager: pdm")
    said = update(quick, fails=True)
    assert said == "Unknown package_manager pdm in .copier-answers.yml: restore uv or poetry.\n"


def test_missing_answers_file_is_one_sentence(quick: Project) -> None:
    (quick.path / ".copier-answers.yml").unlink()
    said = update(quick, fails=True)
    wanted = f"Missing .copier-answers.yml in {quick.path}: it contains the release of the project.\n"
    assert said == wanted


def test_answers_file_of_another_name_is_found(origin: Project, releases: Callable[..., None], tmp_path: Path) -> None:
    bare = shutil.copytree(origin.path.with_name("template.git"), tmp_path / "template.git")
    name = ".copier-answers.service.yml"
    copy = (COPIER, "copy", "--defaults", "--quiet", "--vcs-ref=v1.0.0", f"--answers-file={name}", bare, "service")
    Project(tmp_path).run(*copy)
    environment = clean_environment() | {"UV_PROJECT_ENVIRONMENT": str(tmp_path / "venv")}
    service = Project(tmp_path / "service", environment)
    (service.path / ".copier-answers.other.yml").write_text("_src_path: gh:org/other\n_commit: v3.0.0\n")
    service.run("uv", "lock", "--quiet")
    service.commit("Render")
    service.run("git", "branch", "--move", "main")
    releases("1.1.0", "src/app/core/retries.py", "\n\n# better")
    update(service)
    assert report(service).startswith("Update from the template: v1.0.0 to v1.1.0\n\n## `poe check`\n\nIt passes.\n")
    assert "_commit: v1.1.0" in (service.path / name).read_text()


def test_script_runs_from_any_folder_without_a_lock(
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
def test_settings_of_git_lose_no_edit_in_the_script(
    quick: Project, releases: Callable[..., None], setting: str, tmp_path: Path
) -> None:
    """Each setting alone makes Copier lose edits. Settings in the environment still apply."""
    ignored, edited, contested = tmp_path / "ignored", quick.path / "src/app/core/http/pagination.py", quick.path / PAGE
    ignored.write_text("pagination.py\n")
    (tmp_path / "settings").write_text(setting.format(ignored))
    (quick.path / "blanks.txt").write_text("blanks at the end  \n")
    for path in (edited, contested):
        path.write_text(f"{path.read_text()}# mine\n")
    quick.commit("Work")
    releases("1.1.0", f"{PAGE}.jinja", "The template's.")
    identity = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "Grace"}
    given = {name: value for name, value in quick.environment.items() if not name.endswith("_NAME")}
    update(Project(quick.path, {**given, **identity, "GIT_CONFIG_GLOBAL": str(tmp_path / "settings")}))
    assert f"\n## Conflicts\n\n- `{PAGE}`\n" in report(quick)
    assert "# mine\n" in edited.read_text()
    assert "# mine\n" in contested.read_text()
    assert quick.run("git", "log", "-1", "--format=%an") == "Grace\n"
