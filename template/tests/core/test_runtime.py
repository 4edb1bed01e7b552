"""The version check, and the description of the running Python."""

import ast
import json
import math
import platform
import runpy
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.core import runtime
from app.core.runtime import MINIMUM, PythonTooOldError, check_version, current, main, parallel_map


@pytest.mark.parametrize("version", [MINIMUM, (MINIMUM[0], MINIMUM[1] + 1), (MINIMUM[0] + 1, 0), sys.version_info[:2]])
def test_supported_python_is_accepted(version: tuple[int, int]) -> None:
    check_version(version)


@pytest.mark.parametrize("version", [(3, 12), (3, 9), (2, 7)])
def test_old_python_is_one_sentence(version: tuple[int, int]) -> None:
    have = ".".join(map(str, version))
    with pytest.raises(PythonTooOldError, match=rf"^This service needs Python 3\.1\d or newer, but runs on {have}\.$"):
        check_version(version)


def test_parallel_map_keeps_the_order() -> None:
    assert parallel_map(math.factorial, range(50), workers=2) == [math.factorial(n) for n in range(50)]


def test_parallel_map_raises_the_function_error() -> None:
    with pytest.raises(ValueError, match="not defined for negative"):
        parallel_map(math.factorial, [3, -1], workers=1)


def test_current_runtime_is_described() -> None:
    found = current()
    assert found.version == platform.python_version().rstrip("+").split("rc")[0]
    assert found.gil == sys._is_gil_enabled()
    assert found.cores >= 1


def test_runtime_is_printed_as_json_or_text(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--json"])
    assert json.loads(capsys.readouterr().out) == current()._asdict()
    main([])
    printed = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert printed == {
        "Python": current().version,
        "GIL": "on" if current().gil else "off",
        "JIT": "on" if current().jit else "off",
        "cores": str(current().cores),
    }


def test_version_check_runs_on_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    ast.parse(Path(runtime.__file__).read_text("utf-8"), feature_version=(3, 8))
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    monkeypatch.setattr(sys, "argv", ["app.core.runtime"])
    monkeypatch.delitem(sys.modules, "app.core.runtime")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("app.core.runtime", run_name="__main__")
    assert str(ended.value) == "This service needs Python 3.13 or newer, but runs on 3.9."


@pytest.mark.parametrize("enabled", [True, False])
def test_jit_state_on_python_3_14(monkeypatch: pytest.MonkeyPatch, enabled: bool) -> None:
    monkeypatch.setattr(sys, "_jit", SimpleNamespace(is_enabled=lambda: enabled), raising=False)
    assert current().jit is enabled


@pytest.mark.parametrize(
    ("flags", "switch", "jit"),
    [
        ("-D_Py_JIT", "1", True),
        ("-D_Py_JIT", "0", False),
        ("-D_Py_JIT", "", False),
        ("-O3", "1", False),
        (None, "1", False),
    ],
)
def test_jit_state_on_python_3_13(monkeypatch: pytest.MonkeyPatch, flags: str | None, switch: str, jit: bool) -> None:
    monkeypatch.delattr(sys, "_jit", raising=False)
    monkeypatch.setattr(sysconfig, "get_config_var", {"PY_CORE_CFLAGS": flags}.get)
    monkeypatch.setenv("PYTHON_JIT", switch)
    assert current().jit is jit
