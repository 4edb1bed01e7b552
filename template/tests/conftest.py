"""Where the fixtures are: in `shared.py` what both frameworks share, in `engine.py` what belongs to this one."""

import gc

import pytest


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Import the application only where tests are collected: the process that hands them out starts without it."""
    plugins = collector.config.pluginmanager
    if not plugins.has_plugin("shared"):
        plugins.import_plugin("shared")
        gc.freeze()  # what is imported stays: nothing of it has to be looked through while the tests run
