"""Discovery of slices: each package beside `core` is a slice, without registration."""

import re
import traceback
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, NamedTuple

from app.core.config import API_PREFIX

CORE = Path(__file__).parent
PACKAGE = CORE.parent


class SliceError(Exception):
    """A slice does not load; the message names the slice, the file and the line."""


class Slice(NamedTuple):
    """A slice, or a module of core. May have models, schemas, repository, service, routes and settings."""

    name: str
    """Dotted name below `app`: `notes`, `core.accounts`."""

    @property
    def label(self) -> str:
        """Name for migrations: `notes`, `core_accounts`."""
        return self.name.replace(".", "_")

    @property
    def folder(self) -> Path:
        found = find_spec(f"{PACKAGE.name}.{self.name}")
        return Path(found.submodule_search_locations[0]) if found and found.submodule_search_locations else PACKAGE

    def module(self, name: str) -> ModuleType | None:
        """Return the module `name` of the slice, or None if it is missing. Raise SliceError when its import fails."""
        path = f"{PACKAGE.name}.{self.name}.{name}"
        try:
            return import_module(path) if find_spec(path) else None
        except Exception as error:
            raise SliceError(f"The slice '{self.name}' does not load: {_where(error)}") from error

    def attribute[T](self, module: str, name: str, kind: type[T], *, required: bool = False) -> T | None:
        """Return `name` of a module of the slice, or None. Raise SliceError for a wrong type or a missing name."""
        if (found := self.module(module)) is None:
            return None
        value = getattr(found, name, None)
        if isinstance(value, kind) or (value is None and not required):
            return value
        raise SliceError(
            f"The slice '{self.name}' does not load: {module}.py must define `{name}`, of type {kind.__name__}"
        )

    @property
    def prefix(self) -> str:
        """The prefix of all paths: PREFIX of routes.py, or API_PREFIX. Raise SliceError for an invalid value."""
        prefix = self.attribute("routes", "PREFIX", str) or API_PREFIX
        if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", prefix):
            raise SliceError(f"The slice '{self.name}' does not load: PREFIX in routes.py must be like /api")
        return prefix

    def routers[T](self, kind: type[T]) -> tuple[T | None, T | None]:
        """Return `router` and `public` of routes.py. Raise SliceError when routes.py defines neither."""
        router, public = (self.attribute("routes", name, kind) for name in ("router", "public"))
        if router is None and public is None and (module := self.module("routes")):
            others = [f"`{name}`" for name, value in vars(module).items() if isinstance(value, kind)]
            raise SliceError(
                f"The slice '{self.name}' does not load: routes.py must define `router` (callers need a token) or "
                f"`public` (they need none), of type {kind.__name__}"
                + (f", and defines {' and '.join(others)}" if others else "")
            )
        return router, public


def find_slices() -> Iterator[Slice]:
    """Yield every slice, sorted by name."""
    for module in iter_modules([str(PACKAGE)]):
        if module.ispkg and module.name != CORE.name:
            yield Slice(module.name)


def find_packages() -> Iterator[Slice]:
    """Yield every package of core, sorted by name."""
    for module in iter_modules([str(CORE)]):
        if module.ispkg:
            yield Slice(f"{CORE.name}.{module.name}")


def find_parts() -> Iterator[Slice]:
    """Yield the packages of core, then the slices: all packages that may have models, routes, settings or jobs."""
    yield from find_packages()
    yield from find_slices()


def owner_of(function: Callable[..., Any]) -> str:
    """Return the name of the slice or of the package of core that defines `function`."""
    package, *below = function.__module__.split(".")
    return ".".join(below[: 2 if below[:1] == [CORE.name] else 1]) or package


def import_all(name: str) -> None:
    """Import the module `name` of each package of core and each slice. Raise SliceError when an import fails."""
    for found in find_parts():
        found.module(name)


def _where(error: Exception) -> str:
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, SyntaxError):
        return f"{said} ({error.filename}, line {error.lineno})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(PACKAGE)]
    last = frames[-1]
    return f"{said} ({last.filename}, line {last.lineno})"
