"""The template as it stands in the working tree, what is rendered from it, and what is installed."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parent.parent
CONFIGURATION = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
QUESTIONS = {name: question for name, question in CONFIGURATION.items() if not name.startswith("_")}
TOOLS = Path(sysconfig.get_path("scripts"))
COPIER = TOOLS / "copier"
POETRY = "poetry==2.5.1"
POETRY_MIRROR = "poetry-plugin-pypi-mirror==0.6.5"

type Answers = Mapping[str, str]

# Each choice of each question at least once; the Python of the last one need not be installed.
PROFILES: dict[str, Answers] = {
    "uv": {},
    "poetry": {
        "package_manager": "poetry",
        "license": "MIT",
        "ci": "gitlab",
        "features": "[example,kubernetes]",
    },
    "uv-bare": {"features": "[]", "license": "Apache-2.0"},
    "poetry-bare": {"package_manager": "poetry", "features": "[]", "license": "BSD-3-Clause", "ci": "none"},
    "django": {"framework": "django", "ci": "gitlab"},
    "django-poetry-bare": {"framework": "django", "package_manager": "poetry", "features": "[]"},
    "next-python": {"python_version": "3.14"},
}


def profiles(*, installable: bool = False) -> list[Any]:
    """As parameters of a fixture, such that one worker renders and installs a profile for all tests of it."""
    return [
        pytest.param(answers, id=name, marks=pytest.mark.xdist_group(name))
        for name, answers in PROFILES.items()
        if not (installable and "python_version" in answers)
    ]


def working_tree(folder: str = ".") -> list[Path]:
    """The files that git knows or would add."""
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", folder)
    names = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split("\0")
    return [Path(name) for name in names if name and (REPOSITORY / name).exists()]


def find_uv() -> Path:
    """The program itself: a shim in front of it may not work in the folders that the tests make."""
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv, "The tests need uv: run them with `uv run pytest`."
    return Path(uv)


def clean_environment() -> dict[str, str]:
    """What a new terminal has: nothing of this test run, no settings of the developer, an identity for git."""
    of_this_run = ("GIT_", "PYTEST_", "PYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(of_this_run)}
    programs = [path for path in kept["PATH"].split(os.pathsep) if not Path(path).is_relative_to(sys.prefix)]
    return kept | {
        "PATH": os.pathsep.join([str(find_uv().parent), str(Path(sys.base_prefix, "bin")), *programs]),
        "UV_PYTHON_DOWNLOADS": "never",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{role}_NAME": "Template Author" for role in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{role}_EMAIL": "author@template.invalid" for role in ("AUTHOR", "COMMITTER")},
    }


@dataclass(frozen=True)
class Project:
    """A folder, and the commands that are run in it as a person would."""

    path: Path
    environment: Mapping[str, str] = field(default_factory=clean_environment)
    manager: str = "uv"

    def run(self, *command: str | Path, fails: bool = False) -> str:
        """All that the command printed; whether it fails is checked."""
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        shown = " ".join(map(str, command))
        assert (done.returncode != 0) == fails, f"`{shown}` exited with {done.returncode}:\n{done.stdout[-8000:]}"
        return done.stdout

    def run_inside(self, *command: str, fails: bool = False) -> str:
        """The same in the environment that the package manager made, as in `uv run` and `poetry run`."""
        return self.run(self.manager, "run", *command, fails=fails)

    def commit(self, message: str = "Change") -> None:
        self.run("git", "init", "--quiet")
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def files(self) -> set[Path]:
        """The paths that were rendered, not what was made of them since."""
        return {
            path.relative_to(self.path) for path in self.path.rglob("*") if path.is_file() and ".git" not in path.parts
        }


def data(answers: Answers) -> list[str]:
    return [f"--data={name}={answer}" for name, answer in answers.items()]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Name each test's group where pytest-xdist's scheduler reads it.

    pytest-xdist 3.8 writes it to `_nodeid`, which pytest 9.2 does not read: every worker installed every profile.
    """
    if getattr(config.option, "loadgroup", False):
        for item in items:
            if group := item.get_closest_marker("xdist_group"):
                *path, name = item.nodeid.split("::")
                item._id = replace(item.id, names=(*path[1:], f"{name}@{group.args[0]}"), params=None)  # noqa: SLF001


@pytest.fixture(scope="session", autouse=True)
def copier_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Not the developer's, which may hold answers and trust."""
    settings = tmp_path_factory.mktemp("copier") / "settings.yml"
    settings.write_text("trust: []\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COPIER_SETTINGS_PATH", str(settings))
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one release, made of what is in the working tree and not ignored."""
    folder = tmp_path_factory.mktemp("origin") / "template"
    for path in working_tree():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / path, folder / path)
    release(folder, "v0.0.1")
    return folder


def release(template: Path, tag: str) -> None:
    project = Project(template)
    project.commit(tag)
    project.run("git", "tag", tag)


@pytest.fixture(scope="session")
def render(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Project]:
    """Renders through the command line as README.md does, each set of answers once: not to be changed by a test."""
    done: dict[frozenset[tuple[str, str]], Project] = {}

    def render(**answers: str) -> Project:
        key = frozenset(answers.items())
        if key not in done:
            parent = Project(tmp_path_factory.mktemp("render"))
            parent.run(COPIER, "copy", "--defaults", "--quiet", *data(answers), template, "my-service")
            done[key] = Project(parent.path / "my-service")
        return done[key]

    return render


@pytest.fixture
def project(render: Callable[..., Project], tmp_path: Path) -> Callable[..., Project]:
    """A render to be changed: a copy of its own, under git."""

    def project(**answers: str) -> Project:
        copy = Project(tmp_path / "project")
        shutil.copytree(render(**answers).path, copy.path)
        copy.commit("Render")
        return copy

    return project


@pytest.fixture(scope="session")
def poetry(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Poetry that only these tests use.

    By itself it asks its index in a way that mirrors and proxies do not answer; the plugin makes it ask as pip does.
    """
    tools = tmp_path_factory.mktemp("poetry")
    environment = clean_environment() | {
        "POETRY_VIRTUALENVS_PATH": str(tools / "virtualenvs"),
        "UV_TOOL_DIR": str(tools),
        "UV_TOOL_BIN_DIR": str(tools / "bin"),
    }
    environment["PATH"] = f"{tools / 'bin'}{os.pathsep}{environment['PATH']}"
    project = Project(tools, environment)
    project.run("uv", "tool", "install", "--quiet", "--python", sys.executable, "--with", POETRY_MIRROR, POETRY)
    index = "from poetry.repositories.pypi_repository import PyPiRepository; print(PyPiRepository().url)"
    url = project.run(tools / "poetry/bin/python", "-c", index).strip()
    return {"POETRY_PYPI_MIRROR_URL": url, **environment}


@pytest.fixture(scope="session")
def workshop() -> Iterator[Path]:
    """A folder for what runs. Not pytest's own: it takes that one's permissions away from others, at each start of any
    pytest, and where root runs the tests, the embedded PostgreSQL is another user."""
    with TemporaryDirectory(prefix="moai-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def installed(render: Callable[..., Project], request: pytest.FixtureRequest, workshop: Path) -> Callable[..., Project]:
    """Renders, puts under git and installs, each set of answers once."""
    done: dict[frozenset[tuple[str, str]], Project] = {}

    def installed(**answers: str) -> Project:
        key = frozenset(answers.items())
        if key not in done:
            path = workshop / str(len(done)) / "my-service"
            shutil.copytree(render(**answers).path, path)
            manager = answers.get("package_manager", "uv")
            environment = request.getfixturevalue("poetry") if manager == "poetry" else clean_environment()
            project = Project(path, environment, manager)
            project.commit("Render")
            project.run(manager, "sync")
            done[key] = project
        return done[key]

    return installed


@pytest.fixture(params=profiles(installable=True))
def service(installed: Callable[..., Project], request: pytest.FixtureRequest) -> Project:
    """An installed render of each profile."""
    answers: Answers = request.param
    return installed(**answers)
