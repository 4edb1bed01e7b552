"""`.env.example`: the variables of core and of all slices, with their meaning and default."""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.core.config import ConfigError, Environment, Settings
from app.core.slices import find_parts

EXAMPLE = Path(".env.example")


def add_missing(path: Path = EXAMPLE) -> list[str]:
    """Append the variables that are missing in the file, and return their names. Existing lines do not change.

    Raise ConfigError when a missing variable has no description.
    """
    text = path.read_text("utf-8").rstrip("\n") + "\n" if path.exists() else ""
    written = set(re.findall(r"^[#\s]*([A-Z0-9_]+)=", text, re.MULTILINE))
    missing = {name: field for name, field in variables() if name not in written}
    for name, field in missing.items():
        if not field.description:
            raise ConfigError(f"{name} needs a description, as in Field(description='...').")
        text += f"\n# {field.description}\n#{name}={_as_text(field.default)}\n"
    path.write_text(text.lstrip("\n"), "utf-8")
    return list(missing)


def variables() -> Iterator[tuple[str, FieldInfo]]:
    """Yield the variables of core, then those of each module of core and each slice, with the fields that read them."""
    found = [part.attribute("settings", "Settings", type(Environment)) for part in find_parts()]
    for kind in [Settings, *filter(None, found)]:
        for name, field in kind.model_fields.items():
            if kind is Settings or name not in Environment.model_fields:
                yield name.upper(), field


def _as_text(default: object) -> str:
    if default is None or default == () or default is PydanticUndefined:
        return ""
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if isinstance(default, tuple):
        return ",".join(default)
    return str(default).lower() if isinstance(default, bool) else str(default)
