"""Finding the slices: a package under `app` is one, and nothing is registered anywhere."""

import traceback
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import NamedTuple

PACKAGE = Path(__file__).parent


class SliceError(Exception):
    """A slice does not load; the message names it, the file and the line."""


class Slice(NamedTuple):
    """One folder of `app`: models, schemas, repository, service, routes, settings, as far as it has them."""

    name: str

    def module(self, name: str) -> ModuleType | None:
        """The slice's module of that name, or None when it has none. SliceError when it has one that fails."""
        path = f"{PACKAGE.name}.{self.name}.{name}"
        try:
            return import_module(path) if find_spec(path) else None
        except Exception as error:
            raise SliceError(f"The slice '{self.name}' does not load: {_where(error)}") from error

    def attribute[T](self, module: str, name: str, kind: type[T], *, required: bool = False) -> T | None:
        """What the slice's module calls `name`, or None. SliceError when it is no `kind`, or required and missing."""
        if (found := self.module(module)) is None:
            return None
        value = getattr(found, name, None)
        if isinstance(value, kind) or (value is None and not required):
            return value
        raise SliceError(
            f"The slice '{self.name}' does not load: {module}.py must define `{name}`, of type {kind.__name__}"
        )


def find_slices() -> Iterator[Slice]:
    """Every slice, by name."""
    for module in iter_modules([str(PACKAGE)]):
        if module.ispkg:
            yield Slice(module.name)


def _where(error: Exception) -> str:
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, SyntaxError):
        return f"{said} ({error.filename}, line {error.lineno})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(PACKAGE)]
    last = frames[-1]
    return f"{said} ({last.filename}, line {last.lineno})"
