"""A slice that refers to users must have listeners for erasure or export."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.core.slices import PACKAGE

REFERS_TO_USERS = re.compile(
    r"users\.id\b|AUTH_USER_MODEL|(?i:core_accounts\.user)\b"
    r"|(ForeignKey|OneToOneField|ManyToManyField)\(\s*(to\s*=\s*)?(User\b|UserModel\b|get_user_model)"
    r"|^    user_id\s*(:\s*Mapped|=\s*\w*Field)",
    re.MULTILINE,
)
COMMENT = re.compile(r"#.*")
LISTENS = re.compile(r"\b(erased|exporting)\.connect\b|\breceiver\([^)]*\b(erased|exporting)\b")


def code(path: Path) -> str:
    return COMMENT.sub("", path.read_text("utf-8"))


def silent(package: Path, example: str) -> Iterator[str]:
    """Yield a failure message for each slice that refers to users and has no listener."""
    for folder in sorted(path.parent for path in package.glob("*/__init__.py") if path.parent.name != "core"):
        models = [path for path in folder.rglob("*.py") if "migrations" not in path.parts]
        listeners = folder / "listeners.py"
        if not any(REFERS_TO_USERS.search(code(path)) for path in models):
            continue
        if not (listeners.exists() and LISTENS.search(code(listeners))):
            yield (
                f"The slice '{folder.name}' refers to users. Say in src/app/{folder.name}/listeners.py what an export "
                f"shows of its rows, or what is deleted with a user:\n{example}"
            )


def test_slices_with_personal_data_have_listeners(listener_example: str) -> None:
    failures = list(silent(PACKAGE, listener_example))
    assert not failures, "\n\n".join(failures)


def test_failure_names_slice_file_and_lines(
    write_models: Callable[..., str], listener_example: str, tmp_path: Path
) -> None:
    folder = tmp_path / "plums"
    folder.mkdir()
    (folder / "__init__.py").touch()
    assert list(silent(tmp_path, listener_example)) == []
    (folder / "models.py").write_text(write_models("plums"))
    (folder / "listeners.py").write_text("from app.core import exporting\n")
    [sentence] = silent(tmp_path, listener_example)
    assert sentence.startswith("The slice 'plums' refers to users. Say in src/app/plums/listeners.py what ")
    assert sentence.endswith(listener_example)
    (folder / "listeners.py").write_text(f"# {listener_example.replace('\n', '\n# ')}\n")
    assert list(silent(tmp_path, listener_example)) == [sentence]
    (folder / "listeners.py").write_text(listener_example)
    assert list(silent(tmp_path, listener_example)) == []


@pytest.mark.parametrize(
    "line",
    [
        'user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))',
        "user_id: Mapped[int]",
        "user_id = BigIntegerField()",
        "user = ForeignKey(settings.AUTH_USER_MODEL, on_delete=CASCADE)",
        "user = ForeignKey(to=User, on_delete=CASCADE)",
        "user = OneToOneField(\n        get_user_model(), on_delete=CASCADE)",
        'user = ForeignKey("core_accounts.user", on_delete=CASCADE)',
    ],
)
def test_reference_to_users_is_found(line: str) -> None:
    assert REFERS_TO_USERS.search(f"class Plum(Base):\n    {line}\n")
    assert not REFERS_TO_USERS.search(f"class Plum(Base):\n    {line.replace('ser', 'nit').replace('SER', 'NIT')}\n")
