"""Discovery of slices, and error messages for slices that do not load."""

import itertools
from pathlib import Path
from types import ModuleType

import pytest

from app.core import slices
from app.core.config import API_PREFIX
from app.core.slices import Slice, SliceError, find_slices

numbers = itertools.count()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package for slices, instead of `app`."""
    package = tmp_path / f"package{next(numbers)}"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(slices, "PACKAGE", package)
    return package


def write(package: Path, name: str, **modules: str) -> Slice:
    folder = package / name
    folder.mkdir()
    for module, content in {"__init__": "", **modules}.items():
        (folder / f"{module}.py").write_text(content)
    return Slice(name)


def test_slices_are_sorted_and_exclude_core() -> None:
    names = [found.name for found in find_slices()]
    assert "core" not in names
    assert names == sorted(names)


def test_every_package_folder_is_a_slice(package: Path) -> None:
    write(package, "notes")
    write(package, "alarms")
    (package / "module.py").touch()
    (package / "empty").mkdir()
    assert [found.name for found in find_slices()] == ["alarms", "notes"]


def test_slice_modules_are_optional(package: Path) -> None:
    notes = write(package, "notes", routes="router = 1")
    assert isinstance(notes.module("routes"), ModuleType)
    assert notes.module("models") is None
    assert notes.attribute("settings", "Settings", type, required=True) is None
    assert notes.attribute("routes", "router", int) == 1
    assert notes.attribute("routes", "public", int) is None


def test_routers_are_found(package: Path) -> None:
    assert write(package, "notes", routes="public = 1").routers(int) == (None, 1)
    assert write(package, "alarms", models="").routers(int) == (None, None)


@pytest.mark.parametrize(
    ("content", "ending"),
    [("", "of type int"), ("rooter = 1\npublik = 2", "of type int, and defines `rooter` and `publik`")],
)
def test_misspelt_router_is_named(package: Path, content: str, ending: str) -> None:
    notes = write(package, "notes", routes=content)
    with pytest.raises(SliceError) as failed:
        notes.routers(int)
    assert str(failed.value) == (
        "The slice 'notes' does not load: routes.py must define `router` (callers need a token) or `public` "
        f"(they need none), {ending}"
    )


@pytest.mark.parametrize("content", ["", "router = None", "router = 'text'"])
def test_missing_router_is_named(package: Path, content: str) -> None:
    notes = write(package, "notes", routes=content)
    with pytest.raises(SliceError) as failed:
        notes.attribute("routes", "router", int, required=True)
    assert str(failed.value) == "The slice 'notes' does not load: routes.py must define `router`, of type int"


def test_optional_router_of_wrong_type_is_named(package: Path) -> None:
    notes = write(package, "notes", routes="public = 'text'")
    with pytest.raises(SliceError, match="must define `public`, of type int"):
        notes.attribute("routes", "public", int)


@pytest.mark.parametrize(
    ("content", "sentence", "line"),
    [
        ("def broken(:\n    pass\n", "SyntaxError: invalid syntax", 1),
        ("\n\nimport nowhere\n", "ModuleNotFoundError: No module named 'nowhere'", 3),
        ("from pathlib import Paht\n", "ImportError: cannot import name 'Paht' from 'pathlib'", 1),
        ("x = 1\nx.colour\n", "AttributeError: 'int' object has no attribute 'colour'", 2),
        ("def f():\n    return 1 / 0\n\n\nf()\n", "ZeroDivisionError: division by zero", 2),
        ("raise ValueError('two\\nlines')\n", "ValueError: two", 1),
        ("raise ValueError\n", "ValueError: ", 1),
    ],
)
def test_import_error_has_file_and_line(package: Path, content: str, sentence: str, line: int) -> None:
    notes = write(package, "notes", models=content)
    with pytest.raises(SliceError) as failed:
        notes.module("models")
    message = str(failed.value)
    assert "\n" not in message
    assert message.startswith(f"The slice 'notes' does not load: {sentence}")
    assert message.endswith(f" ({package / 'notes' / 'models.py'}, line {line})")


def test_import_error_in_init_is_named(package: Path) -> None:
    notes = write(package, "notes", models="")
    (package / "notes" / "__init__.py").write_text("import nowhere\n")
    with pytest.raises(SliceError, match=r"^The slice 'notes' does not load: .*__init__\.py, line 1\)$"):
        notes.module("models")


def test_library_error_names_line_of_the_slice(package: Path) -> None:
    notes = write(package, "notes", models="import json\njson.loads('[')\n")
    with pytest.raises(SliceError, match=r"^The slice 'notes' .*JSONDecodeError: .*models\.py, line 2\)$"):
        notes.module("models")


def test_prefix_of_a_slice(package: Path) -> None:
    assert write(package, "notes", routes="public = 1").prefix == API_PREFIX
    assert write(package, "alarms", routes="PREFIX = '/api'").prefix == "/api"
    assert write(package, "empty").prefix == API_PREFIX


@pytest.mark.parametrize("prefix", ["api", "/api/", "/", "/a b", "/{id}"])
def test_invalid_prefix_is_refused(package: Path, prefix: str) -> None:
    with pytest.raises(SliceError, match=r"PREFIX in routes\.py must be like /api"):
        _ = write(package, "notes", routes=f"PREFIX = {prefix!r}").prefix
