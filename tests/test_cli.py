"""The command line: from a repository, without `--trust`."""

import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest
import yaml
from conftest import COPIER, Project, clean_environment, data
from questionnaire import BARE, CONFIGURATION, QUESTIONS, TEXTS, choices


@pytest.fixture
def desk(tmp_path: Path) -> Project:
    """Return an empty folder, with its own folder for temporary files."""
    (tmp_path / "desk").mkdir()
    (tmp_path / "temporary").mkdir()
    return Project(tmp_path / "desk", clean_environment() | {"TMPDIR": str(tmp_path / "temporary")})


def left_behind(desk: Project) -> list[Path]:
    """Return all files in the folder and all temporary files."""
    return [*desk.path.iterdir(), *Path(desk.environment["TMPDIR"]).iterdir()]


def answers_of(project: Project) -> dict[str, object]:
    answers: dict[str, object] = yaml.safe_load((project.path / ".copier-answers.yml").read_text())
    return answers


def test_defaults_name_the_service_after_its_folder(render: Callable[..., Project]) -> None:
    answers = answers_of(render())
    assert answers["project_name"] == "My Service"
    assert answers["project_slug"] == "my-service"
    assert answers["author_name"] == "my-service authors"
    assert answers["features"] == ["example", "vscode"]


@pytest.mark.parametrize(
    ("question", "answer", "sentence"),
    [
        ("project_name", "two\nlines", "Control character found: "),
        ("author_email", "ada at example.com", "Invalid e-mail: type an address like team@example.com, or nothing."),
        ("project_slug", "fastapi", "Name of a dependency: use another slug, for example fastapi-service."),
        ("license", "WTFPL", "'WTFPL' is not in ['proprietary', 'MIT', 'Apache-2.0', 'BSD-3-Clause']"),
        ("features", "[exmaple]", f"'exmaple' is not in {choices('features')}"),
    ],
)
def test_invalid_answer_is_refused(desk: Project, template: Path, question: str, answer: str, sentence: str) -> None:
    output = desk.run(COPIER, "copy", "--defaults", *data({question: answer}), template, "new", fails=True)
    assert sentence in output.splitlines()[-1]
    assert left_behind(desk) == []


def test_older_copier_is_refused(desk: Project, template: Path) -> None:
    output = desk.run("uvx", "copier==9.14.3", "copy", "--defaults", template, "new", fails=True)
    oldest = CONFIGURATION["_min_copier_version"]
    assert (
        output.splitlines()[-1]
        .strip("\x1b[0m")
        .endswith(f"version >= {oldest}, while your version of Copier is 9.14.3.")
    )
    assert left_behind(desk) == []


@pytest.mark.deep
def test_minimum_copier_renders_and_updates(desk: Project, template: Path, render: Callable[..., Project]) -> None:
    oldest = f"copier=={CONFIGURATION['_min_copier_version']}"
    desk.run("uvx", oldest, "copy", "--defaults", template, "my-service")
    service = Project(desk.path / "my-service", desk.environment)
    service.run("diff", "--recursive", service.path, render().path)
    service.commit("Render")
    service.run("uvx", oldest, "update", "--defaults", "--data=features=[]")
    assert service.files() == render(**BARE).files()


def test_existing_files_are_kept(desk: Project, template: Path) -> None:
    (desk.path / "notes.txt").write_text("mine")
    (desk.path / "LICENSE").write_text("mine")
    output = desk.run(COPIER, "copy", "--defaults", template, ".", fails=True)
    assert "Consider using `--overwrite`" in output.splitlines()[-1]
    assert (desk.path / "LICENSE").read_text() == "mine"

    desk.run(COPIER, "copy", "--defaults", "--overwrite", template, ".")
    assert (desk.path / "notes.txt").read_text() == "mine"
    assert "All rights reserved" in (desk.path / "LICENSE").read_text()


def test_template_without_git_renders(
    desk: Project, template: Path, render: Callable[..., Project], tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(template, plain, ignore=shutil.ignore_patterns(".git"))
    (desk.path / "bin").mkdir()
    (desk.path / "bin" / "python").symlink_to(shutil.which("python3", path=desk.environment["PATH"]) or "")
    lonely = Project(desk.path, {**desk.environment, "PATH": str(desk.path / "bin")})
    lonely.run(COPIER, "copy", "--defaults", plain, "my-service")
    assert Project(desk.path / "my-service").files() == render().files()


def test_commands_of_the_message_after_copy_work(desk: Project, template: Path) -> None:
    """A shell runs each line as printed, also if the path has blanks, quotes or non-ASCII characters."""
    folder = "Ada's new sérvice 服务"
    output = desk.run(COPIER, "copy", "--defaults", template, folder)
    commands = [
        line.strip() for line in output.splitlines() if line.startswith("    ") and not line.endswith("\x1b[0m")
    ]
    commands = [command for command in commands if command.split()[0] in {"cd", "uv", "git"}]
    assert commands == [
        f"cd {shlex.quote(folder)}",
        "git init -b main",
        "uv run poe dev",
        "uv run poe test",
        'git add . && git commit -m "Render ada-s-new-service"',
    ]
    desk.run("sh", "-ec", "\n".join([*commands[:2], commands[-1]]))
    assert (desk.path / folder / ".git/HEAD").read_text() == "ref: refs/heads/main\n"


def test_message_after_copy_has_poetry_commands(desk: Project, template: Path) -> None:
    output = desk.run(COPIER, "copy", "--defaults", "--data=package_manager=poetry", template, "new")
    assert "    poetry sync\n    poetry run poe dev\n    poetry run poe test\n" in output


@pytest.fixture
def terminal(desk: Project, template: Path) -> Iterator["pexpect.spawn[str]"]:
    session = pexpect.spawn(
        str(COPIER),
        ["copy", str(template), "new"],
        cwd=str(desk.path),
        env={
            **desk.environment,
            "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1",
        },  # pexpect does not report the cursor's position
        dimensions=(40, 80),
        encoding="utf-8",
        timeout=20,
    )
    yield session
    session.close(force=True)


ENTER, DOWN, CLEAR, REPAINT, CTRL_C = "\r", "\x1b[B", "\x15", "\x0c", "\x03"


def test_interactive_answers_are_stored(desk: Project, terminal: "pexpect.spawn[str]") -> None:
    terminal.expect_exact("Project name")
    terminal.send(CLEAR + " Fastapi " + ENTER)
    terminal.expect_exact("Project slug")
    terminal.expect_exact("fastapi-service")
    terminal.send(CLEAR + "fastapi" + ENTER)
    terminal.expect_exact("Name of a dependency: use another")
    terminal.send(CLEAR + "billing " + ENTER)
    terminal.expect_exact("Description")
    terminal.send(ENTER)
    terminal.expect_exact("Author")
    terminal.send(CLEAR + "Forge, Inc. " + ENTER)
    terminal.expect_exact("E-mail")
    terminal.send(" forge@example.com" + ENTER)
    terminal.expect_exact("Licence")
    terminal.send(DOWN + ENTER)
    terminal.expect_exact("Web framework")
    terminal.send(ENTER)
    terminal.expect_exact("Package manager")
    terminal.send(DOWN + ENTER)
    terminal.expect_exact("Minimum Python")
    terminal.send(DOWN + ENTER)
    terminal.expect_exact("CI provider")
    terminal.send(DOWN + ENTER)
    terminal.expect_exact("Features")
    terminal.send(" " + ENTER)
    terminal.expect_exact("Fastapi is rendered.")
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == os.EX_OK
    answers = answers_of(Project(desk.path / "new"))
    assert {name: answer for name, answer in answers.items() if not name.startswith("_")} == {
        "project_name": "Fastapi",
        "project_slug": "billing",
        "project_description": "An HTTP API on PostgreSQL.",
        "author_name": "Forge, Inc.",
        "author_email": "forge@example.com",
        "license": "MIT",
        "framework": "fastapi",
        "package_manager": "poetry",
        "python_version": "3.14",
        "ci": "gitlab",
        "features": ["vscode"],
    }


MISTAKES = {
    "project_name": [(" ", "Empty: type at least one"), ("x" * 81, "Too long: at most 80")],
    "project_slug": [
        ("My_App", "Use a-z, 0-9, single dashes:"),
        ("x" * 41, "Too long: at most 40"),
        ("class", "Reserved word: use another slug"),
        ("fastapi", "Name of a dependency: use another"),
    ],
    "project_description": [("a\u202eb", "Control character found:"), ("x" * 201, "Too long: at most 200")],
    "author_name": [("Ada <ada@example.com>", "Remove < and >: package metadata")],
    "author_email": [("ada at example.com", "Invalid e-mail: type an address")],
}


def test_errors_fit_a_terminal_of_80_columns(terminal: "pexpect.spawn[str]") -> None:
    """Copier prints an error on one line, after the name of the question, and cuts it at the edge of the terminal."""
    assert MISTAKES.keys() == set(TEXTS)
    for question, mistakes in MISTAKES.items():
        terminal.expect_exact(QUESTIONS[question]["help"])
        for answer, words in mistakes:
            terminal.send(CLEAR + answer + ENTER + REPAINT)  # without it, only changed columns are sent
            terminal.expect_exact(f"Validation error for question '{question}': {words}")
        terminal.send(CLEAR + {"author_email": ""}.get(question, "billing") + ENTER)
    terminal.expect_exact(QUESTIONS["license"]["help"])


def test_questions_fit_a_terminal_of_80_columns() -> None:
    marks = len("🎤 ") + 1  # the emoji takes two columns
    helps = [question["help"] for question in QUESTIONS.values() if "when" not in question]
    options = [option for question in QUESTIONS.values() for option in question.get("choices", [])]
    assert [text for text in helps if marks + len(text) > 80] == []
    assert [text for text in options if len(f" » ● {text}") > 80] == []


def test_ctrl_c_leaves_nothing_behind(desk: Project, terminal: "pexpect.spawn[str]") -> None:
    terminal.expect_exact("Project name")
    terminal.send("Billing" + ENTER)
    terminal.expect_exact("Project slug")
    terminal.send(CTRL_C)
    terminal.expect_exact("Execution stopped by user")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus not in {os.EX_OK, None}
    assert left_behind(desk) == []
