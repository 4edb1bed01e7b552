"""A render works in any folder, under any shell and beside other users, or says in one sentence why not."""

import os
import shutil
import signal
import string
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from conftest import Project
from test_contract import free_port

HOSTILE = {
    "PGSSLMODE": "require",
    "PGHOSTADDR": "192.0.2.1",
    "PGOPTIONS": "-c default_transaction_read_only=on",
    "SMTP_URL": "smtp://192.0.2.1:25",
    "SUPPLIER_URL": "http://192.0.2.1",
    "DATABASE_POOL_SIZE": "none",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://192.0.2.1",
    "ALL_PROXY": "socks5://192.0.2.1:1080",
    "http_proxy": "http://192.0.2.1:3128",
    "XDG_RUNTIME_DIR": "/nowhere",
    "LC_ALL": "C",
    "TZ": "Pacific/Kiritimati",
}
"""Variables of a developer's shell that the tests must ignore."""
HOSTILE_TO_TESTS = {"DATABASE_POOL_SIZE"}
"""An invalid setting. Commands refuse it with an error message; tests ignore it."""

TESTED = ("tests/core/http/test_health.py", "tests/core/mail", "tests/core/test_settings.py")
NAMELESS, STRANGER = 4_242_424, 65_534

pytestmark = pytest.mark.deep


def odd_name() -> str:
    """Return a name with all punctuation of ASCII but a colon, which PATH cannot have."""
    return f" {''.join(sorted({*string.punctuation} - {*'/:'}))} größe"


@pytest.mark.parametrize("framework", ["fastapi", "django"])
def test_render_in_an_odd_folder_under_a_hostile_shell(
    render: Callable[..., Project], workshop: Path, framework: str
) -> None:
    path = workshop / f"{framework} {odd_name()}" / "My Projects"
    shutil.copytree(render(framework=framework, features="[example, jobs]").path, path)
    plain = render(framework=framework)
    project = Project(path, plain.environment)
    project.commit("Render")
    project.run("uv", "sync")
    hostile = replace(project, environment={**project.environment, **HOSTILE})
    migrating = {name: value for name, value in hostile.environment.items() if name not in HOSTILE_TO_TESTS}
    python = path / ".venv/bin/python"
    replace(project, environment=migrating).run(python, "-m", "app", "migrate")
    sentence = hostile.run(python, "-m", "app", "migrate", fails=True)
    assert sentence.startswith("DATABASE_POOL_SIZE is invalid: ")
    assert len(sentence.splitlines()) == 1
    assert " passed" in hostile.run(python, "-m", "pytest", "-q", *TESTED)
    assert not (path / "postmaster.pid").exists()
    serves(python, path, migrating | {"PATH": str(python.parent)})  # no git, no uv


def serves(python: Path, folder: Path, environment: dict[str, str]) -> None:
    """Start `poe dev` without poe, ask for readiness, and stop with SIGINT."""
    port = str(free_port())
    command = (python, "-m", "app", "dev")
    with subprocess.Popen(command, cwd=folder, env=environment | {"PORT": port}, start_new_session=True) as process:
        try:
            deadline = time.monotonic() + 60
            while True:
                with suppress(httpx2.TransportError):
                    if httpx2.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False).status_code == 200:
                        break
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        finally:
            os.killpg(process.pid, signal.SIGINT)


@pytest.fixture
def as_user(installed: Callable[..., Project]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `python -m app migrate` of a copy of a render as another user, who may read everything."""
    assert os.geteuid() == 0, "Run the deep tests as root: only root can become another user."
    project = installed(framework="fastapi")
    homes: list[Path] = []

    def start(user: int) -> subprocess.Popen[str]:
        home = Path(f"/tmp/moai-user-{user}")  # noqa: S108
        shutil.rmtree(home, ignore_errors=True)
        homes.append(home)
        shutil.copytree(project.path / "src", home / "src")
        for path in [home, *home.rglob("*")]:
            os.chown(path, user, user)
        home.chmod(0o700)
        command: list[str | Path] = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        command += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]
        environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "PYTHONPATH": str(home / "src")}
        return subprocess.Popen(
            [*command, project.python(), "-m", "app", "migrate"],
            cwd=home,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    yield start
    for home in homes:
        shutil.rmtree(home)


def test_embedded_servers_of_two_users_do_not_conflict(
    installed: Callable[..., Project], as_user: Callable[..., subprocess.Popen[str]]
) -> None:
    processes = [as_user(STRANGER), as_user(1)]
    installed(framework="fastapi").run_inside("python", "-m", "app", "migrate")
    for process in processes:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out


def test_unnamed_system_user_is_one_sentence(as_user: Callable[..., subprocess.Popen[str]]) -> None:
    process = as_user(NAMELESS)
    out, _ = process.communicate(timeout=120)
    assert (process.returncode, out.count("\n")) == (1, 1)
    assert out.startswith(f"The embedded PostgreSQL needs a user with a name, and the user ID {NAMELESS} has none: ")


def test_root_keeps_modes_of_parent_folders(installed: Callable[..., Project], workshop: Path) -> None:
    assert os.geteuid() == 0, "Run the deep tests as root: PostgreSQL then runs as another user."
    private = workshop / "private"
    installed_at = installed(framework="fastapi").path
    without_data = shutil.ignore_patterns(".postgres")
    shutil.copytree(installed_at, private / "service", symlinks=True, ignore=without_data)
    private.chmod(0o700)
    project = Project(private / "service")
    project.run(project.path / ".venv/bin/python", "-m", "app", "migrate")
    assert private.stat().st_mode & 0o777 == 0o700
