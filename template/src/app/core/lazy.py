"""Lazy imports of the names of a package."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, modules: Mapping[str, Iterable[str]]) -> Callable[[str], Any]:
    """Return a `__getattr__` for `package` that imports names on first use. `modules` maps modules to their names.

    Reasons: the import of a slice may come before models can be defined, and `--help` should not import a framework.
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def find(name: str) -> Any:
        if name in module_of:
            return getattr(import_module(f"{package}.{module_of[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name)

    return find
