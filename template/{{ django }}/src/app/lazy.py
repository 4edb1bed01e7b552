"""Naming what a slice offers without importing it: Django imports every slice before it lets one define its models."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazily(package: str, *modules: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package: a name of its `__all__` is looked up in `modules` when somebody asks for it."""

    def find(name: str) -> Any:
        if name in sys.modules[package].__all__:
            for module in modules:
                if (found := getattr(import_module(f"{package}.{module}"), name, None)) is not None:
                    return found
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name)

    return find
