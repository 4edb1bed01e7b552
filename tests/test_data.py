"""The feature `data` with every engine installed, as its page says."""

import shutil
from collections.abc import Callable

import pytest
from conftest import Project
from questionnaire import PROFILES

WITH = next(
    name
    for name, given in PROFILES.items()
    if "data" in given.get("features", "") and given.get("package_manager", "uv") == "uv"
)

pytestmark = [pytest.mark.deep, pytest.mark.xdist_group(WITH)]


@pytest.fixture
def service(installed: Callable[..., Project]) -> Project:
    return installed(**PROFILES[WITH])


def test_every_engine_computes_the_same(service: Project) -> None:
    assert shutil.which("java"), "Spark needs Java 17 or newer: install one, such as Debian's openjdk-17-jre-headless."
    assert "The report: .pipeline/output/report.md" in service.run_inside("poe", "-q", "pipeline")

    told = service.run_inside("poe", "-q", "pipeline", "--engine", "duckdb", fails=True)
    assert "The engine duckdb is not installed. " in told
    service.run(*told.strip().rpartition(": ")[2].split())
    assert "7 of 7 days are done." in service.run_inside("poe", "-q", "pipeline", "--engine", "duckdb", "--again")

    assert "is not installed" in service.run_inside("poe", "-q", "engines", fails=True)
    service.run("uv", "sync", "--all-groups")
    assert "4 passed" in service.run_inside("poe", "-q", "engines")
