"""The command line, as a person uses it: from a repository, without `--trust`."""

import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest
import yaml
from conftest import COPIER, Project, clean_environment, data
from questionnaire import BARE, CONFIGURATION, choices


@pytest.fixture
def desk(tmp_path: Path) -> Project:
    """An empty folder to work in, with a folder for temporary files of its own."""
    (tmp_path / "desk").mkdir()
    (tmp_path / "temporary").mkdir()
    return Project(tmp_path / "desk", clean_environment() | {"TMPDIR": str(tmp_path / "temporary")})


def left_behind(desk: Project) -> list[Path]:
    """What is in the folder and among the temporary files."""
    return [*desk.path.iterdir(), *Path(desk.environment["TMPDIR"]).iterdir()]


def answers_of(project: Project) -> dict[str, object]:
    answers: dict[str, object] = yaml.safe_load((project.path / ".copier-answers.yml").read_text())
    return answers


def test_defaults_name_the_service_after_its_folder(render: Callable[..., Project]) -> None:
    answers = answers_of(render())
    assert answers["project_name"] == "My Service"
    assert answers["project_slug"] == "my-service"
    assert answers["author_name"] == "my-service authors"
    assert answers["features"] == ["example"]


@pytest.mark.parametrize(
    ("question", "answer", "sentence"),
    [
        ("project_name", "two\nlines", "Type it on one line, "),
        ("author_email", "ada at example.com", "Type an address like team@example.com, or leave it empty."),
        ("project_slug", "fastapi", "Type another name, like fastapi-service: fastapi is a package "),
        ("license", "WTFPL", "'WTFPL' is not in ['proprietary', 'MIT', 'Apache-2.0', 'BSD-3-Clause']"),
        ("features", "[exmaple]", f"'exmaple' is not in {choices('features')}"),
    ],
)
def test_a_bad_answer_is_refused_with_a_sentence(
    desk: Project, template: Path, question: str, answer: str, sentence: str
) -> None:
    output = desk.run(COPIER, "copy", "--defaults", *data({question: answer}), template, "new", fails=True)
    assert sentence in output.splitlines()[-1]
    assert left_behind(desk) == []


def test_an_older_copier_is_refused(desk: Project, template: Path) -> None:
    output = desk.run("uvx", "copier==9.14.3", "copy", "--defaults", template, "new", fails=True)
    oldest = CONFIGURATION["_min_copier_version"]
    assert (
        output.splitlines()[-1]
        .strip("\x1b[0m")
        .endswith(f"version >= {oldest}, while your version of Copier is 9.14.3.")
    )
    assert left_behind(desk) == []


@pytest.mark.deep
def test_the_oldest_copier_that_is_promised_renders_and_updates(
    desk: Project, template: Path, render: Callable[..., Project]
) -> None:
    oldest = f"copier=={CONFIGURATION['_min_copier_version']}"
    desk.run("uvx", oldest, "copy", "--defaults", template, "my-service")
    service = Project(desk.path / "my-service", desk.environment)
    service.run("diff", "--recursive", service.path, render().path)
    service.commit("Render")
    service.run("uvx", oldest, "update", "--defaults", "--data=features=[]")
    assert service.files() == render(**BARE).files()


def test_a_folder_that_holds_files_keeps_them(desk: Project, template: Path) -> None:
    (desk.path / "notes.txt").write_text("mine")
    (desk.path / "LICENSE").write_text("mine")
    output = desk.run(COPIER, "copy", "--defaults", template, ".", fails=True)
    assert "Consider using `--overwrite`" in output.splitlines()[-1]
    assert (desk.path / "LICENSE").read_text() == "mine"

    desk.run(COPIER, "copy", "--defaults", "--overwrite", template, ".")
    assert (desk.path / "notes.txt").read_text() == "mine"
    assert "All rights reserved" in (desk.path / "LICENSE").read_text()


def test_without_git_a_plain_copy_of_the_template_renders(
    desk: Project, template: Path, render: Callable[..., Project], tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(template, plain, ignore=shutil.ignore_patterns(".git"))
    (desk.path / "bin").mkdir()
    (desk.path / "bin" / "python").symlink_to(shutil.which("python3", path=desk.environment["PATH"]) or "")
    lonely = Project(desk.path, {**desk.environment, "PATH": str(desk.path / "bin")})
    lonely.run(COPIER, "copy", "--defaults", plain, "my-service")
    assert Project(desk.path / "my-service").files() == render().files()


def test_the_message_after_copy_gives_commands_that_work(desk: Project, template: Path) -> None:
    """Blanks, quotes and other scripts in the path: a shell takes every line as it is printed."""
    folder = "Ada's new sérvice 服务"
    output = desk.run(COPIER, "copy", "--defaults", template, folder)
    commands = [
        line.strip() for line in output.splitlines() if line.startswith("    ") and not line.endswith("\x1b[0m")
    ]
    commands = [command for command in commands if command.split()[0] in {"cd", "uv", "git"}]
    assert commands == [
        f"cd {shlex.quote(folder)}",
        "uv run poe dev",
        "uv run poe test",
        'git init && git add . && git commit -m "Render ada-s-new-service"',
    ]
    desk.run("sh", "-ec", f"{commands[0]}\n{commands[3]}")
    assert (desk.path / folder / ".git").is_dir()


def test_the_message_after_copy_knows_poetry_and_a_relative_template(desk: Project, template: Path) -> None:
    desk.run("git", "clone", "--quiet", template, "moai")
    output = desk.run(COPIER, "copy", "--defaults", "--data=package_manager=poetry", "moai", "new")
    assert "    poetry sync && poetry run poe dev\n" in output
    assert "    poetry run poe test\n" in output
    assert "An update would not find the template" in output


@pytest.fixture
def terminal(desk: Project, template: Path) -> Iterator["pexpect.spawn[str]"]:
    session = pexpect.spawn(
        str(COPIER),
        ["copy", str(template), "new"],
        cwd=str(desk.path),
        env={**desk.environment, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},  # nobody answers where the cursor is
        dimensions=(40, 120),
        encoding="utf-8",
        timeout=20,
    )
    yield session
    session.close(force=True)


ENTER, DOWN, CLEAR, CTRL_C = "\r", "\x1b[B", "\x15", "\x03"


def test_a_person_answers(desk: Project, terminal: "pexpect.spawn[str]") -> None:
    terminal.expect_exact("What do people call the service?")
    terminal.send(CLEAR + "Fastapi" + ENTER)
    terminal.expect_exact("What do machines call it?")
    terminal.expect_exact("fastapi-service")
    terminal.send(CLEAR + "fastapi" + ENTER)
    terminal.expect_exact("Type another name, like fastapi-service")
    terminal.send(CLEAR + "billing" + ENTER)
    for question in ("What does it do", "Who writes it?", "Under which address"):
        terminal.expect_exact(question)
        terminal.send(ENTER)
    terminal.expect_exact("Under which licence")
    terminal.send(DOWN + ENTER)
    terminal.expect_exact("Which web framework?")
    terminal.send(ENTER)
    terminal.expect_exact("Which package manager?")
    terminal.send(DOWN + ENTER)
    terminal.expect_exact("oldest Python")
    terminal.send(DOWN + ENTER)
    terminal.expect_exact("Where are its changes checked?")
    terminal.send(DOWN + ENTER)
    terminal.expect_exact("What else should it hold?")
    terminal.send(" " + ENTER)
    terminal.expect_exact("Fastapi is written.")
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == os.EX_OK
    answers = answers_of(Project(desk.path / "new"))
    assert {name: answer for name, answer in answers.items() if not name.startswith("_")} == {
        "project_name": "Fastapi",
        "project_slug": "billing",
        "project_description": "An HTTP API on PostgreSQL.",
        "author_name": "billing authors",
        "author_email": "",
        "license": "MIT",
        "framework": "fastapi",
        "package_manager": "poetry",
        "python_version": "3.14",
        "ci": "gitlab",
        "features": [],
    }


def test_ctrl_c_leaves_nothing_behind(desk: Project, terminal: "pexpect.spawn[str]") -> None:
    terminal.expect_exact("What do people call the service?")
    terminal.send("Billing" + ENTER)
    terminal.expect_exact("What do machines call it?")
    terminal.send(CTRL_C)
    terminal.expect_exact("Execution stopped by user")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus not in {os.EX_OK, None}
    assert left_behind(desk) == []
