"""Load the fixtures of core, and those of `tests/fixtures.py` if the file exists."""

import gc
from importlib.util import find_spec

import pytest


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Import the application only in processes that collect tests, so that pytest-xdist's controller starts faster."""
    plugins = collector.config.pluginmanager
    if not plugins.has_plugin("tests.core.fixtures"):
        plugins.import_plugin("tests.core.fixtures")
        if find_spec("tests.fixtures"):
            plugins.import_plugin("tests.fixtures")
        gc.freeze()  # the garbage collector need not scan imported objects during the tests
