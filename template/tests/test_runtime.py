"""The Python below."""

import math
import platform
import sys
import sysconfig
from types import SimpleNamespace

import pytest

from app.runtime import MINIMUM, PythonTooOldError, check_version, current, parallel_map


@pytest.mark.parametrize("version", [MINIMUM, (MINIMUM[0], MINIMUM[1] + 1), (MINIMUM[0] + 1, 0), sys.version_info[:2]])
def test_new_enough(version: tuple[int, int]) -> None:
    check_version(version)


@pytest.mark.parametrize("version", [(3, 12), (3, 9), (2, 7)])
def test_too_old_is_one_sentence(version: tuple[int, int]) -> None:
    have = ".".join(map(str, version))
    with pytest.raises(PythonTooOldError, match=rf"^This service needs Python 3\.1\d or newer, but runs on {have}\.$"):
        check_version(version)


def test_parallel_map_keeps_the_order_and_uses_other_workers() -> None:
    assert parallel_map(math.factorial, range(50), workers=2) == [math.factorial(n) for n in range(50)]


def test_parallel_map_raises_what_the_function_raises() -> None:
    with pytest.raises(ValueError, match="not defined for negative"):
        parallel_map(math.factorial, [3, -1], workers=1)


def test_runtime_is_this_one() -> None:
    runtime = current()
    assert runtime.version == platform.python_version().rstrip("+").split("rc")[0]
    assert runtime.gil == sys._is_gil_enabled()


@pytest.mark.parametrize("enabled", [True, False])
def test_python_3_14_tells_whether_the_jit_is_on(monkeypatch: pytest.MonkeyPatch, enabled: bool) -> None:
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
def test_the_jit_of_python_3_13_is_on_where_it_is_built_in_and_asked_for(
    monkeypatch: pytest.MonkeyPatch, flags: str | None, switch: str, jit: bool
) -> None:
    monkeypatch.delattr(sys, "_jit", raising=False)
    monkeypatch.setattr(sysconfig, "get_config_var", {"PY_CORE_CFLAGS": flags}.get)
    monkeypatch.setenv("PYTHON_JIT", switch)
    assert current().jit is jit
