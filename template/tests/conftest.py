"""Loads the fixtures: those of core, and yours of `tests/fixtures.py` when there is such a file."""

import gc
from importlib.util import find_spec

import pytest


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Import the application only where tests are collected: the process that hands them out starts without it."""
    plugins = collector.config.pluginmanager
    if not plugins.has_plugin("tests.core.fixtures"):
        plugins.import_plugin("tests.core.fixtures")
        if find_spec("tests.fixtures"):
            plugins.import_plugin("tests.fixtures")
        gc.freeze()  # what is imported stays: nothing of it has to be looked through while the tests run
