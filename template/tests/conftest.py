"""Where the fixtures are: in `shared.py` what both frameworks share, in `engine.py` what belongs to this one."""

import gc

import pytest


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Import the application only where tests are collected: the process that hands them out starts without it."""
    collector.config.pluginmanager.import_plugin("shared")


def pytest_collection_finish() -> None:
    """What is imported stays: nothing of it has to be looked through while the tests run."""
    gc.freeze()
