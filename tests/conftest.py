"""Fixtures: the template from the working tree, its renders, and installed renders."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.util import source_from_cache, source_hash
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from filelock import FileLock
from questionnaire import PROFILES, REPOSITORY, Answers, without_defaults

TOOLS = Path(sysconfig.get_path("scripts"))
COPIER = TOOLS / "copier"
QUICK_COPIER = (sys.executable, REPOSITORY / "tests/quick_copier.py")
POETRY = "poetry==2.5.1"
POETRY_EXPORT = "poetry-plugin-export==1.10.1"
POETRY_MIRROR = "poetry-plugin-pypi-mirror==0.6.5"
PIPX = "pipx==1.18.4"

# The settings that production requires besides the database, with any feature.
PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "Zm9yIHRoZSB0ZXN0cywgYW5kIG9ubHkgZm9yIHRoZW0",
    "PAYMENTS_SECRET": "bm90IHVzZWQgYW55d2hlcmUsIG1hZGUgZm9yIHRlc3Rz",
    "SMTP_URL": "smtps://mail.example.com",
    "MAIL_FROM": "service@example.com",
    "ALLOWED_HOSTS": "127.0.0.1",
}


def once(named: Mapping[str, Mapping[str, str]], *, quick: Container[str] | None = None) -> list[Any]:
    """Parametrize a fixture by answers. One worker renders and installs a set, and runs all tests of the set.

    With `quick`, the tests of all other sets are deep.
    """
    found = []
    for name, answers in named.items():
        marks = [pytest.mark.xdist_group(name)]
        if quick is not None and name not in quick:
            marks.append(pytest.mark.deep)
        found.append(pytest.param(answers, id=name, marks=marks))
    return found


def working_tree(folder: str = ".") -> list[Path]:
    """Return the files that git tracks or would add."""
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", folder)
    names = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split("\0")
    return [Path(name) for name in names if name and (REPOSITORY / name).exists()]


def find_uv() -> Path:
    """Return uv itself: a shim before it on the PATH may not work in temporary folders."""
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv, "The tests need uv: run them with `uv run pytest`."
    return Path(uv)


def clean_environment() -> dict[str, str]:
    """Return the environment of a new terminal, with an identity for git and without variables of this run.

    Variables of CI are removed too, because tools colour their output there.
    """
    of_this_run = ("GIT_", "PYTEST_", "PYTHON", "VIRTUAL_ENV")
    of_pipelines = {"CI", "GITHUB_ACTIONS", "GITLAB_CI", "CLICOLOR_FORCE", "FORCE_COLOR", "NO_COLOR"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(of_this_run) and name not in of_pipelines
    }
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
    """A folder, and commands that run in it."""

    path: Path
    environment: Mapping[str, str] = field(default_factory=clean_environment)
    manager: str = "uv"

    def run(self, *command: str | Path, fails: bool = False) -> str:
        """Run a command and return its output. Assert that it succeeds, or fails with `fails=True`."""
        program, *arguments = command
        done = subprocess.run(
            (*QUICK_COPIER, *arguments) if program == COPIER else command,
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
        """Run a command in the environment of the package manager, as with `uv run` and `poetry run`."""
        return self.run(self.manager, "run", *command, fails=fails)

    def python(self) -> Path:
        """Return the interpreter itself, so that a signal reaches the right process."""
        return Path(self.run_inside("python", "-c", "import sys; print(sys.executable)").splitlines()[-1])

    def commit(self, message: str = "Change") -> None:
        self.run("git", "init", "--quiet")
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def toml(self, name: str = "pyproject.toml") -> dict[str, Any]:
        return tomllib.loads((self.path / name).read_text())

    def files(self) -> set[Path]:
        """Return the paths of all files, without `.git`."""
        return {
            path.relative_to(self.path) for path in self.path.rglob("*") if path.is_file() and ".git" not in path.parts
        }


def data(answers: Answers) -> list[str]:
    return [f"--data={name}={answer}" for name, answer in answers.items()]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the xdist group of each test to its node id.

    pytest-xdist 3.8 writes the group to `_nodeid`, which pytest 9.2 ignores: every worker would install every profile.
    """
    if getattr(config.option, "loadgroup", False):
        for item in items:
            if group := item.get_closest_marker("xdist_group"):
                *path, name = item.nodeid.split("::")
                item._id = replace(item.id, names=(*path[1:], f"{name}@{group.args[0]}"), params=None)  # noqa: SLF001


@pytest.fixture(scope="session", autouse=True)
def copier_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the developer's settings of Copier, which may contain answers and trust."""
    settings = tmp_path_factory.mktemp("copier") / "settings.yml"
    settings.write_text("trust: []\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COPIER_SETTINGS_PATH", str(settings))
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that all workers of this run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def made_once(folder: Path) -> Iterator[bool]:
    """Yield whether this worker must make the folder. Other workers wait until the folder exists."""
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        yield not folder.exists()


@pytest.fixture(scope="session")
def template(shared: Path) -> Path:
    """Return a git repository with one release of the working tree."""
    folder = shared / "template"
    with made_once(folder) as wanted:
        if wanted:
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
def render(template: Path, shared: Path) -> Callable[..., Project]:
    """Render each set of answers once, with the command line. Tests must not change the result."""

    def render(**answers: str) -> Project:
        given = sorted(without_defaults(answers).items())
        folder = shared / f"render-{sha256(repr(given).encode()).hexdigest()[:16]}"
        with made_once(folder) as wanted:
            if wanted:
                folder.mkdir()
                options = data(dict(given))
                Project(folder).run(COPIER, "copy", "--defaults", "--quiet", *options, template, "my-service")
        return Project(folder / "my-service")

    return render


@pytest.fixture
def project(render: Callable[..., Project], tmp_path: Path) -> Callable[..., Project]:
    """Copy a render into a new git repository, which the test can change."""

    def project(**answers: str) -> Project:
        copy = Project(tmp_path / "project")
        shutil.copytree(render(**answers).path, copy.path)
        copy.commit("Render")
        return copy

    return project


@pytest.fixture(scope="session")
def poetry(workshop: Path) -> dict[str, str]:
    """Install Poetry and the tools of its tasks, and return their environment.

    Poetry's own requests to an index fail behind mirrors and proxies; the plugin makes the requests of pip.
    """
    tools = workshop / "poetry"
    tools.mkdir()
    environment = clean_environment() | {
        "PIPX_HOME": str(tools / "pipx"),
        "POETRY_VIRTUALENVS_PATH": str(tools / "virtualenvs"),
        "UV_TOOL_DIR": str(tools),
        "UV_TOOL_BIN_DIR": str(tools / "bin"),
    }
    environment["PATH"] = f"{tools / 'bin'}{os.pathsep}{environment['PATH']}"
    project = Project(tools, environment)
    install = ("uv", "tool", "install", "--quiet", "--python", sys.executable)
    project.run(*install, "--with", POETRY_EXPORT, "--with", POETRY_MIRROR, POETRY)
    project.run(*install, PIPX)
    index = "from poetry.repositories.pypi_repository import PyPiRepository; print(PyPiRepository().url)"
    url = project.run(tools / "poetry/bin/python", "-c", index).strip()
    return {"POETRY_PYPI_MIRROR_URL": url, **environment}


@pytest.fixture(scope="session")
def workshop() -> Iterator[Path]:
    """Yield a folder for processes.

    pytest's own temporary folder does not work: each start of pytest removes the permissions of other users, and the
    embedded PostgreSQL runs as another user if root runs the tests.
    """
    with TemporaryDirectory(prefix="moai-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def install(shared: Path, workshop: Path) -> Callable[[Project], Project]:
    """Install projects. Each uses the compiled modules and the cache of mypy that the earlier ones made."""
    installed: list[Path] = []

    def install(project: Project) -> Project:
        types = workshop / f"types-{'django' if (project.path / 'manage.py').exists() else 'fastapi'}"
        with made_once(shared / types.name) as wanted:
            if wanted and types.exists():
                shutil.copytree(types, shared / types.name)
            elif not wanted and not types.exists():
                shutil.copytree(shared / types.name, types)
        project = replace(project, environment={**project.environment, "MYPY_CACHE_DIR": str(types)})
        project.run(project.manager, "sync")
        with FileLock(shared / "modules.lock"):
            while installed:
                keep_modules(installed.pop(), shared / "modules")
            for packages in project.path.glob(".venv/lib/python*/site-packages"):
                take_modules(shared / "modules", packages)
                installed.append(packages)
        return project

    return install


MODULES = f"*.{sys.implementation.cache_tag}.pyc"


def keep_modules(packages: Path, folder: Path) -> None:
    """Copy the compiled modules of new packages. The copies are valid for equal sources, with any path and time."""
    for package in packages.glob("[!_]*/"):
        if not (folder / package.name).exists():
            for path in package.rglob(MODULES):
                source = Path(source_from_cache(path))
                if source.exists():
                    code = path.read_bytes()
                    kept = folder / path.relative_to(packages)
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    # The header of PEP 552 that makes Python compare the hash of the source.
                    kept.write_bytes(code[:4] + b"\3\0\0\0" + source_hash(source.read_bytes()) + code[16:])


def take_modules(folder: Path, packages: Path) -> None:
    for kept in folder.rglob(MODULES):
        path = packages / kept.relative_to(folder)
        if path.parent.parent.exists():
            path.parent.mkdir(exist_ok=True)
            path.unlink(missing_ok=True)
            path.hardlink_to(kept)


@pytest.fixture(scope="session")
def installed(
    render: Callable[..., Project],
    request: pytest.FixtureRequest,
    workshop: Path,
    install: Callable[[Project], Project],
) -> Callable[..., Project]:
    """Render, commit and install each set of answers once."""
    done: dict[frozenset[tuple[str, str]], Project] = {}
    numbers = count()

    def installed(**answers: str) -> Project:
        key = frozenset(without_defaults(answers).items())
        if key not in done:
            path = workshop / str(next(numbers)) / "my-service"
            shutil.copytree(render(**answers).path, path)
            manager = answers.get("package_manager", "uv")
            environment = request.getfixturevalue("poetry") if manager == "poetry" else clean_environment()
            project = Project(path, environment, manager)
            project.commit("Render")
            done[key] = install(project)
        return done[key]

    return installed


@pytest.fixture(params=once(PROFILES))
def service(installed: Callable[..., Project], request: pytest.FixtureRequest) -> Project:
    """Return an installed render of each profile."""
    answers: Answers = request.param
    return installed(**answers)
