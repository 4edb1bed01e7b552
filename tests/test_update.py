"""`copier update` from every release: managed files change, and the user's files stay."""

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from conftest import COPIER, Project, clean_environment, once, release
from copier import run_copy, run_update
from pytest_copie.plugin import Copie, Result
from questionnaire import BARE, PROFILES, QUESTIONS, REPOSITORY, Answers, choices, typed
from quick_copier import hasten
from release import Promises, matching

NOW = Promises.now()
ANSWERS = ".copier-answers.yml"
PAGE = (REPOSITORY / "template/docs/updating.md").read_text()
OF_THE_EXAMPLE = Path("src/app/orders/service.py")

# Two invented older releases: OLDEST lacks some files; BETWEEN is the working tree with other lines.
OLDEST, BETWEEN, NEWEST = "v0.0.1", "v0.0.2", "v999.0.0"
LINE = "# before\n"
LATER = ("src/app/core/retries.py", "{{ example }}/src/app/products/schemas.py")
RETIRED = "docs/before.md"

CORE, MOVED = "src/app/core/http/pagination.py", "src/app/core/types.py"
ADDED, CONTESTED = "src/app/core/retries.py", "src/app/core/security/tokens.py"

YOURS = (".env.example", "src/app/main.py", "src/app/settings.py", "src/app/urls.py")

type Contents = dict[str, bytes]


def real_releases() -> list[str]:
    listed = ("git", "tag", "--list", "v*.*.*", "--sort=version:refname")
    return subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture(scope="session")
def history(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Make a repository with all releases: two invented ones and the real ones."""
    folder = tmp_path_factory.mktemp("history") / "template"
    history = Project(shutil.copytree(template, folder, ignore=shutil.ignore_patterns(".git")))
    questionnaire = folder / "copier.yml"
    questions = questionnaire.read_text()

    questionnaire.write_text(questions.replace("    /README.md\n", f"    /README.md\n    /{RETIRED}\n"))
    answers = folder / "hooks/answers.jinja"
    answers.write_text(answers.read_text().replace("package_manager python_version ci", "package_manager ci"))
    release(folder, NEWEST)

    other_lines(folder)
    release(folder, BETWEEN)

    for path in LATER:
        (folder / "template" / path).unlink()
    (folder / "template" / RETIRED).write_text(LINE)
    dependencies = folder / "template/pyproject.toml.jinja"
    dependencies.write_text(dependencies.read_text().replace('"pydantic-settings>=2.', '"pydantic-settings>=1.'))
    older = yaml.safe_load(questions)
    older["python_version"] |= {"when": False}
    older["_exclude"][0] = older["_exclude"][0].replace("/CHANGELOG.md\n", "")
    questionnaire.write_text(yaml.safe_dump(older, sort_keys=False))
    release(folder, OLDEST)

    history.run("git", "fetch", "--quiet", "--no-tags", REPOSITORY, "refs/tags/v*:refs/tags/v*")
    return history


def other_lines(template: Path) -> None:
    """Add a comment at the end of each file that can have comments."""
    for path in (template / "template").rglob("*"):
        if path.is_file() and "answers_file" not in path.name and ".json" not in path.suffixes:
            path.write_text(path.read_text() + LINE)


@pytest.fixture(scope="session")
def rendered_before(
    history: Project, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, Answers, Path], Project]:
    """Render each older release once, and return a copy that the test can change."""
    done: dict[tuple[str, frozenset[tuple[str, str]]], Path] = {}

    def rendered_before(version: str, answers: Answers, folder: Path) -> Project:
        key = version, frozenset(answers.items())
        if key not in done:
            done[key] = tmp_path_factory.mktemp("before") / "my-service"
            with pytest.MonkeyPatch.context() as patch:
                hasten(patch.setattr)
                run_copy(str(history.path), done[key], dict(answers), vcs_ref=version, defaults=True, quiet=True)
        project = Project(shutil.copytree(done[key], folder))
        project.commit("Render")
        return project

    return rendered_before


@pytest.fixture
def before(
    rendered_before: Callable[[str, Answers, Path], Project], tmp_path: Path
) -> Callable[[str, Answers], Project]:
    return lambda version, answers: rendered_before(version, answers, tmp_path / "project")


def contents(project: Project) -> Contents:
    """Return all files except the answers, which name the source of the render."""
    return {str(path): (project.path / path).read_bytes() for path in project.files() if str(path) != ANSWERS}


def answers_of(project: Project) -> dict[str, object]:
    stored = yaml.safe_load((project.path / ANSWERS).read_text())
    return {name: answer for name, answer in stored.items() if not name.startswith("_")}


def merged(before: Contents, fresh: Contents) -> Contents:
    """Update an unedited project and return its files."""
    yours = matching([*NOW.yours, *NOW.brought, RETIRED], before.keys() | fresh.keys())
    return {path: text for path, text in fresh.items() if path not in yours} | {
        path: text for path, text in before.items() if path in yours
    }


def update(project: Project, *options: str) -> str:
    return project.run(COPIER, "update", "--defaults", *options)


def update_quickly(project: Project, version: str | None = None, answers: Answers | None = None) -> None:
    """Update without starting a process."""
    with pytest.MonkeyPatch.context() as patch:
        hasten(patch.setattr)
        run_update(project.path, dict(answers or {}), vcs_ref=version, defaults=True, overwrite=True, quiet=True)


@pytest.mark.deep
@pytest.mark.parametrize("version", [OLDEST, *real_releases()])
@pytest.mark.parametrize("answers", once(PROFILES))
def test_unedited_project_equals_a_fresh_render(
    before: Callable[[str, Answers], Project], render: Callable[..., Project], version: str, answers: Answers
) -> None:
    project, fresh = before(version, answers), render(**answers)
    expected = merged(contents(project), contents(fresh))
    update_quickly(project)
    assert contents(project) == expected
    assert answers_of(project) == answers_of(fresh)
    assert project.run("git", "diff", "--summary") == "", "no file lost or changed its mode"


class Edited:
    """A project with edits, and its expected state after an update."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.rendered = contents(project)

    def write(self, path: str, text: bytes) -> None:
        target = self.project.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text)

    def edit(self) -> None:
        """Make all edits that do not conflict."""
        self.write("src/app/notes/__init__.py", b'"""Notes."""\n')
        self.write("tests/notes/test_notes.py", b"def test_notes() -> None: ...\n")
        self.write("README.md", b"# Mine\n")
        self.write(".env", b"SECRET=mine\n")
        for path in {CORE, *YOURS, str(OF_THE_EXAMPLE)} & self.rendered.keys():
            self.write(path, b"# mine\n" + self.rendered[path])
        (self.project.path / MOVED).rename(self.project.path / "src/app/kinds.py")
        (self.project.path / "SECURITY.md").unlink()
        for folder in ("src/app/welcome", "tests/welcome"):
            shutil.rmtree(self.project.path / folder, ignore_errors=True)

    def expected(self, fresh: Contents) -> Contents:
        """Return the expected files: unedited ones are updated, deleted ones stay deleted, edits stay."""
        now = contents(self.project)
        deleted = self.rendered.keys() - now.keys()
        updated = {path: text for path, text in merged(self.rendered, fresh).items() if path not in deleted}
        touched = {path: text for path, text in now.items() if text != self.rendered.get(path)}
        return updated | touched | {CORE: b"# mine\n" + fresh[CORE]}


@pytest.fixture(params=once(PROFILES))
def answers(request: pytest.FixtureRequest) -> Answers:
    profile: Answers = request.param
    return profile


@pytest.mark.deep
@pytest.mark.parametrize("version", [OLDEST, *real_releases()])
def test_edits_survive_an_update(
    before: Callable[[str, Answers], Project],
    render: Callable[..., Project],
    answers: Answers,
    version: str,
    request: pytest.FixtureRequest,
) -> None:
    """Only lines that both changed are a conflict, which the git hooks refuse."""
    manager = answers.get("package_manager", "uv")
    project = before(version, answers)
    edited, fresh = Edited(project), contents(render(**answers))
    edited.edit()
    contested = (ADDED, CONTESTED) if version == OLDEST else ()
    if contested:
        edited.write(ADDED, b"mine\n")
        edited.write(CONTESTED, edited.rendered[CONTESTED].removesuffix(LINE.encode()) + b"# mine\n")
    environment = request.getfixturevalue("poetry") if manager == "poetry" else clean_environment()
    add = (
        ("uv", "add", "--quiet", "--no-sync", "colorama")
        if manager == "uv"
        else ("poetry", "add", "--lock", "colorama")
    )
    Project(project.path, environment).run(*add)
    project.commit("Work")
    expected = edited.expected(fresh)

    update_quickly(project)

    found = contents(project)
    conflicts = {path: found.pop(path) for path in contested}
    assert set(project.run("git", "diff", "--name-only", "--diff-filter=U").split()) == conflicts.keys()
    refused = refused_by_the_hook(project)
    for path, text in conflicts.items():
        lines = text.decode().splitlines()
        assert "# mine" in lines or "mine" in lines
        assert [line for line in lines if refused.search(line)] == ["<<<<<<< before updating", ">>>>>>> after updating"]
        del expected[path]

    documents = [tomllib.loads(text.decode()) for text in (found.pop("pyproject.toml"), fresh["pyproject.toml"])]
    (added,) = {*documents[0]["project"]["dependencies"]} - {*documents[1]["project"]["dependencies"]}
    documents[0]["project"]["dependencies"].remove(added)
    assert added.startswith("colorama")
    assert documents[0] == documents[1]
    assert f"{manager}.lock" in found
    del expected["pyproject.toml"]

    assert found.keys() == expected.keys()
    assert [path for path, text in found.items() if text != expected[path]] == []


def refused_by_the_hook(project: Project) -> re.Pattern[str]:
    """Return what the git hook searches for; tests/test_service.py runs the hook."""
    (builtin, *_) = yaml.safe_load((project.path / ".pre-commit-config.yaml").read_text())["repos"]
    (pattern,) = (hook["args"][0] for hook in builtin["hooks"] if hook.get("alias") == "conflict-markers")
    return re.compile(pattern)


@pytest.mark.deep
@pytest.mark.parametrize("answers", [{}, {"framework": "django", "package_manager": "poetry"}], ids=str)
@pytest.mark.parametrize("releases", [[OLDEST, BETWEEN], *filter(None, [real_releases()])], ids=", ".join)
def test_several_updates_equal_one(
    rendered_before: Callable[[str, Answers, Path], Project], releases: list[str], answers: Answers, tmp_path: Path
) -> None:
    first, *between = releases
    one, more = (rendered_before(first, answers, tmp_path / name) for name in ("one", "more"))
    for project in (one, more):
        Edited(project).edit()
        project.commit("Work")
    for version in between:
        update_quickly(more, version)
        assert f"_commit: {version}\n" in (more.path / ANSWERS).read_text()
        more.commit(version)
    for project in (one, more):
        update_quickly(project)
    assert contents(more) == contents(one)
    assert answers_of(more) == answers_of(one)


def turns() -> Iterator[dict[str, str]]:
    """Return sets of answers. Updates from each to the next change every choice, and change it back."""
    offered: dict[str, list[str]] = {}
    for name, question in QUESTIONS.items():
        if "when" in question or "check_same" in question.get("validator", ""):
            continue
        values = choices(name)
        if question.get("multiselect"):
            # All features, none, then halves: for any two features, one set has only one of the two.
            halves = [
                [value for i, value in enumerate(values) if i >> bit & 1] for bit in range(len(values).bit_length())
            ]
            offered[name] = [
                f"[{', '.join(some)}]" for some in (values, [], *halves) if some in ([], values) or values[1:]
            ]
        else:
            texts = {"project_slug": ["one", "two"], "author_email": ["", "two@example.com"]}
            offered[name] = values or texts.get(name, ["One", "Two"])
    for turn in (*range(max(map(len, offered.values()))), 0):
        yield {name: values[turn % len(values)] for name, values in offered.items()}


@pytest.mark.deep
@pytest.mark.parametrize("framework", choices("framework"))
def test_changed_answers_equal_a_fresh_render(
    project: Callable[..., Project], render: Callable[..., Project], framework: str
) -> None:
    first, *others = turns()
    service = project(framework=framework, **first)
    written_once = matching(NOW.yours, contents(service))
    at_first = contents(service)
    for turn in others:
        update_quickly(service, answers=turn)
        fresh = contents(render(framework=framework, **turn))
        expected = fresh | {path: at_first[path] for path in written_once}
        found = contents(service)
        assert found.keys() == expected.keys()
        assert [path for path, text in found.items() if text != expected[path]] == [], turn
        service.commit("Change answers")


def test_updates_cover_each_choice() -> None:
    fixed = {name for name, question in QUESTIONS.items() if "check_same" in question.get("validator", "")}
    assert fixed == {"framework"}
    for name, question in NOW.questions.items():
        values = {turn.get(name, "") for turn in turns()}
        if question["multiselect"]:
            assert {typed([]), typed(question["choices"])} <= values
        elif name not in fixed:
            assert values == set(question["choices"]) if question["choices"] else len(values) > 1


@pytest.mark.deep
def test_hostile_answers_survive_an_update(copie: Copie, template: Path, tmp_path: Path) -> None:
    answers = {"project_name": '-dash: "{{ 7*7 }}" \\', "author_name": "null", "project_description": "# {% raw %} 'x'"}
    origin = shutil.copytree(template, tmp_path / "origin")
    result = copie.copy(answers, template_dir=origin)
    untouched = under_git(result)
    managed = origin / "template" / ADDED
    managed.write_text(f"{managed.read_text()}# changed\n")
    release(origin, "v0.0.2")
    assert copie.update(result).exception is None

    fresh = under_git(copie.copy(answers, template_dir=origin))
    untouched.run("diff", "--recursive", "--exclude=.git", untouched.path, fresh.path)
    assert (untouched.path / ADDED).read_text().endswith("# changed\n")


def under_git(result: Result) -> Project:
    assert result.exception is None
    assert result.project_dir is not None
    project = Project(result.project_dir)
    project.commit("Render")
    return project


def test_added_feature_renders_its_files(project: Callable[..., Project], render: Callable[..., Project]) -> None:
    """Next to the user's files of the same names."""
    service = project(**BARE)
    own = service.path / OF_THE_EXAMPLE
    own.parent.mkdir()
    own.write_text("mine\n")
    service.commit("Add my own orders")
    update(service, "--quiet", "--data=features=[example, vscode]")
    assert service.files() == render().files()
    assert own.read_text() == "mine\n"
    assert (own.parent / "models.py").read_bytes() == (render().path / OF_THE_EXAMPLE.parent / "models.py").read_bytes()


@pytest.mark.deep
def test_removed_feature_files_can_be_restored(project: Callable[..., Project], render: Callable[..., Project]) -> None:
    service = project()
    edited, mine = service.path / OF_THE_EXAMPLE, service.path / OF_THE_EXAMPLE.with_name("mine.py")
    edited.write_text(f"{edited.read_text()}# mine\n")
    mine.write_text("mine\n")
    service.commit("Work")
    assert "+# mine\n" in service.run(*command("git log -p"))

    message = update(service, "--data=features=[]")
    said = "Switching a feature off deletes its files, including your edits."
    assert said in message[: message.index("template version")]
    bare = render(**BARE).files()
    assert service.files() - bare == {mine.relative_to(service.path)}
    assert str(OF_THE_EXAMPLE) in service.run(*command("git diff --name-only")).split()

    service.run(*command("git restore src"))
    assert edited.read_text().endswith("# mine\n")
    service.commit("Drop the example, keep orders")
    update(service)
    assert service.run("git", "status", "--porcelain") == ""
    assert edited.read_text().endswith("# mine\n")


def command(start: str) -> list[str]:
    """Return the only line of docs/updating.md that starts like this, without its comment."""
    (line,) = (line for line in PAGE.splitlines() if line.strip().startswith(start))
    return shlex.split(line, comments=True)


def undoing() -> str:
    (undo,) = (line for line in PAGE.splitlines() if line.startswith("git restore --source=HEAD"))
    return undo


@pytest.mark.deep
def test_documented_undo_restores_project_and_file(
    before: Callable[[str, Answers], Project],
) -> None:
    project = before(OLDEST, {})
    changed = project.path / CORE
    rendered = changed.read_text()
    changed.write_text("broken\n")
    project.commit("Break it")
    as_it_was = contents(project)

    update(project, "--conflict=rej")
    assert f"?? {CORE}.rej" in project.run("git", "status", "--porcelain").splitlines(), "git does not hide the edit"
    project.run("sh", "-ec", undoing())
    assert contents(project) == as_it_was

    project.run(COPIER, *command("uvx copier recopy")[2:])
    assert contents(project) == as_it_was | {CORE: rendered.encode()}


def in_a_repository(project: Project, folder: Path, beside: str) -> tuple[Project, Project]:
    """Make a repository with the project in a folder and another file; nothing is committed yet."""
    shutil.rmtree(project.path / ".git")
    whole = Project(folder / "repository")
    whole.path.mkdir()
    (whole.path / beside).write_text("of both\n")
    return whole, Project(project.path.rename(whole.path / "service"))


@pytest.mark.deep
def test_monorepo_update_changes_one_project(
    before: Callable[[str, Answers], Project], render: Callable[..., Project], tmp_path: Path
) -> None:
    """Patterns are relative to the project, paths of git to the repository."""
    whole, service = in_a_repository(before(OLDEST, {}), tmp_path, "README.md")
    edited = Edited(service)
    edited.edit()
    whole.commit("Work")
    expected = edited.expected(contents(render()))
    update_quickly(service)
    assert contents(service) == expected
    assert whole.run("git", "status", "--porcelain", "README.md") == ""


@pytest.mark.deep
def test_undo_in_a_monorepo_changes_one_project(before: Callable[[str, Answers], Project], tmp_path: Path) -> None:
    """The undo reverts conflicts and staged changes of the project, but no merge and no file beside the project."""
    whole, service = in_a_repository(before(OLDEST, {}), tmp_path, "beside.txt")
    (service.path / ADDED).write_text("mine\n")
    whole.commit("Work")
    whole.run("git", "switch", "--quiet", "--create", "other")
    whole.run("git", "commit", "--quiet", "--allow-empty", "--message=Other")
    whole.run("git", "switch", "--quiet", "-")
    whole.run("git", "merge", "--quiet", "--no-commit", "--no-ff", "other")
    as_it_was = contents(service)

    (whole.path / "beside.txt").unlink()
    update(service, "--data=features=[jobs]")
    assert (whole.path / "beside.txt").exists(), "so in a monorepo, all is committed first"
    assert service.run("git", "diff", "--name-only", "--diff-filter=U").split() == [f"service/{ADDED}"]
    service.run("git", "add", "src/app/core/jobs")
    (whole.path / "beside.txt").write_text("in work\n")
    (whole.path / "new.txt").write_text("in work\n")
    service.run("sh", "-ec", undoing())
    assert contents(service) == as_it_was
    assert whole.run("git", "status", "--porcelain") == " M beside.txt\n?? new.txt\n"
    whole.run("git", "rev-parse", "--verify", "MERGE_HEAD")


@pytest.mark.deep
@pytest.mark.parametrize("setting", ["apply.whitespace=error", "status.showUntrackedFiles=no"])
def test_documented_git_settings_keep_edits(
    before: Callable[[str, Answers], Project], setting: str, tmp_path: Path
) -> None:
    plain = before(OLDEST, {})
    project = Project(plain.path, {**plain.environment, "GIT_CONFIG_GLOBAL": str(tmp_path / "settings")})
    project.run("git", "config", "--global", *setting.split("="))
    (project.path / "blanks.txt").write_text("blanks at the end  \n")
    for path in (CORE, CONTESTED):
        text = (project.path / path).read_text()
        (project.path / path).write_text(f"# mine\n{text.removesuffix(LINE)}# mine\n")
    project.commit("Work")
    for name in ("apply.whitespace", "status.showUntrackedFiles"):
        project.run(*command(f"git config {name}"))
    update(project)
    for path in (CORE, CONTESTED):
        assert (project.path / path).read_text().startswith("# mine\n")
    assert "<<<<<<< before updating" in (project.path / CONTESTED).read_text()
    assert not list(project.path.rglob("*.rej"))


@pytest.mark.deep
def test_documented_commands_list_edits_outside_git(before: Callable[[str, Answers], Project], tmp_path: Path) -> None:
    """An update overwrites these edits."""
    plain = before(OLDEST, {})
    (tmp_path / "ignored").write_text("pagination.py\n")
    (tmp_path / "settings").write_text(f"[core]\n\texcludesFile = {tmp_path / 'ignored'}\n")
    project = Project(plain.path, {**plain.environment, "GIT_CONFIG_GLOBAL": str(tmp_path / "settings")})
    ignored, hidden = ("git ls-files -ci", "git ls-files -v")
    shown = [line.partition("#")[0] for start in (ignored, hidden) for line in PAGE.splitlines() if start in line]
    assert [plain.run("sh", "-c", f"{line} || true") for line in shown] == ["", ""]

    for path in (CORE, MOVED):
        (project.path / path).write_text("mine\n")
    plain.run("git", "update-index", "--skip-worktree", MOVED)
    plain.run("git", "commit", "--quiet", "--all", "--message=Work")
    assert [project.run("sh", "-c", line) for line in shown] == [f"{CORE}\n", f"S {MOVED}\n"]
    update(project)
    for path in (CORE, MOVED):
        assert (project.path / path).read_text() != "mine\n"


@pytest.mark.deep
def test_documented_risks_of_updates_exist(before: Callable[[str, Answers], Project]) -> None:
    """A link to a moved folder, files outside git, other encodings, sparse checkouts, misspelt questions."""
    project = before(OLDEST, {})
    (project.path / MOVED).write_text("mine\n")
    with (project.path / ".gitignore").open("a") as text:
        text.write(f"/{MOVED}\n")
    project.run("git", "rm", "--quiet", "--cached", MOVED)
    (project.path / "benchmarks").rename(project.path / "elsewhere")
    (project.path / "benchmarks").symlink_to("elsewhere")
    foreign, managed = project.path / CONTESTED, project.path / CORE
    foreign.write_bytes("# grün\n".encode("latin-1") + foreign.read_bytes())
    project.commit("Work")
    moved = {path: path.read_bytes() for path in (project.path / "elsewhere").iterdir()}
    project.run("git", "sparse-checkout", "set", "--no-cone", "/*", f"!/{CORE}")
    assert not managed.exists()

    update(project, "--data=feature=[jobs]")
    assert [path for path, text in moved.items() if path.read_bytes() != text]
    assert not (project.path / MOVED).exists() or (project.path / MOVED).read_text() != "mine\n"
    assert foreign.read_bytes().startswith(b"# grn\n")
    assert not (project.path / "src/app/core/jobs").exists()
    assert managed.exists()
    project.run("git", "add", "--all")
    assert f" M {CORE}" in project.run("git", "status", "--porcelain").splitlines()
    project.run("sh", "-ec", undoing())
    project.run(*re.findall(r"`(git sparse-checkout \w+)`", PAGE)[0].split())
    assert managed.exists()
    assert project.run("git", "status", "--porcelain") == ""


@pytest.mark.deep
def test_recopy_overwrites_all_but_feature_slices(project: Callable[..., Project]) -> None:
    service = project()
    rendered = contents(service)
    gone = "src/app/welcome/__init__.py"
    kept = str(OF_THE_EXAMPLE)
    for path in ("README.md", "CHANGELOG.md", "src/app/core/accounts/service.py", CORE, kept):
        (service.path / path).write_text("mine\n")
    (service.path / gone).unlink()
    service.commit("Work")
    service.run(COPIER, "recopy", "--defaults", "--overwrite", "--quiet")
    assert contents(service) == rendered | {kept: b"mine\n"}


@pytest.mark.deep
def test_renamed_folder_keeps_the_answers(project: Callable[..., Project]) -> None:
    """The name from the folder is stored like any other answer."""
    service = project()
    moved = Project(service.path.rename(service.path.with_name("elsewhere")))
    moved.run(COPIER, "recopy", "--defaults", "--overwrite", "--quiet")
    assert moved.run("git", "status", "--porcelain") == ""


@pytest.mark.deep
def test_changed_framework_is_refused(project: Callable[..., Project]) -> None:
    service = project()
    said = service.run(COPIER, "update", "--defaults", "--data=framework=django", fails=True)
    assert said.rstrip().endswith("Cannot change from fastapi: render a new project and move your code to it.")
    assert service.run("git", "status", "--porcelain") == ""
