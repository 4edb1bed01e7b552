"""The public API of core: its names, and the imports of slices and their tests."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import app.core
from app.core.slices import CORE, PACKAGE

PUBLIC = {"app.core", *(f"app.core.{name}" for name in ("jobs", "mail", "pipeline", "settings", "testing", "urls"))}
"""The modules of core that others may import."""

TESTS = Path(__file__).parents[1]
ENTRY_POINTS = {PACKAGE / "__main__.py", PACKAGE / "wsgi.py", TESTS / "conftest.py"}
"""Files outside core that template updates manage."""


def own_files() -> Iterator[Path]:
    """Yield the Python files of slices and of their tests."""
    for folder, core in ((PACKAGE, CORE), (TESTS, TESTS / CORE.name)):
        for path in folder.rglob("*.py"):
            if not path.is_relative_to(core) and path not in ENTRY_POINTS:
                yield path


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and name of each module that the file imports or names in a string."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.Constant(value=str(text)) if re.fullmatch(r"app\.core(\.\w+)+", text):
                yield node.lineno, ".".join(text.split(".")[:3])  # a path for `monkeypatch`, for example
            case ast.ImportFrom(module=str(module), names=names, level=0):
                for alias in names:
                    inside = f"{module}.{alias.name}"
                    yield node.lineno, inside if module == "app.core" and is_module(alias.name) else module


def is_module(name: str) -> bool:
    return (CORE / name).is_dir() or (CORE / f"{name}.py").exists()


def test_slices_import_only_public_api() -> None:
    deep = [
        f"{path.relative_to(TESTS.parent)}:{line} imports {module}: import what it needs from app.core"
        for path in own_files()
        for line, module in imported(path)
        if f"{module}.".startswith("app.core.") and module not in PUBLIC
    ]
    assert deep == []


def test_every_public_name_can_be_imported() -> None:
    assert [name for name in app.core.__all__ if not hasattr(app.core, name)] == []


def test_no_public_name_is_a_module_name() -> None:
    """An import of the module would replace the public name."""
    assert [name for name in app.core.__all__ if is_module(name)] == []


def test_type_checking_imports_match_all() -> None:
    tree = ast.parse((CORE / "__init__.py").read_text("utf-8"))
    [checked] = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in checked.body if isinstance(node, ast.ImportFrom)]
    assert sorted(alias.name for node in imports for alias in node.names) == sorted(app.core.__all__)
