"""The Python that the service runs on."""

import os
import sys
import sysconfig
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import NamedTuple

MINIMUM = (3, 13)


class PythonTooOldError(Exception):
    """The interpreter is older than what the code is written for; the message says which is needed."""


class Runtime(NamedTuple):
    """What kind of interpreter this is."""

    version: str
    gil: bool
    """False only on a free-threaded build (PEP 703) that runs without the lock."""
    jit: bool
    """True when the just-in-time compiler (PEP 744) is built in and PYTHON_JIT=1 turned it on."""


def current() -> Runtime:
    """The running interpreter."""
    return Runtime(
        version=".".join(map(str, sys.version_info[:3])),
        gil=_gil_enabled(),
        jit=_jit_enabled(),
    )


def check_version(version: tuple[int, ...] = sys.version_info[:2]) -> None:
    """PythonTooOldError when `version` is older than what the code is written for."""
    if version < MINIMUM:
        need, have = (".".join(map(str, v)) for v in (MINIMUM, version))
        raise PythonTooOldError(f"This service needs Python {need} or newer, but runs on {have}.")


def parallel_map[T, R](function: Callable[[T], R], items: Iterable[T], *, workers: int | None = None) -> list[R]:
    """`function` of every item, in order, on as many cores as there are (or `workers`).

    For work that keeps a core busy. Without the GIL threads do it; with it, processes, so `function` and the items
    must be picklable there.
    """
    count = workers or os.process_cpu_count() or 1
    pool: Executor = ProcessPoolExecutor(count) if _gil_enabled() else ThreadPoolExecutor(count)
    with pool:
        return list(pool.map(function, items))


def _gil_enabled() -> bool:
    return sys._is_gil_enabled()  # noqa: SLF001 -- documented, in spite of its name


def _jit_enabled() -> bool:
    # Python 3.14 can tell; 3.13 can only say what it was built and started with.
    if (jit := getattr(sys, "_jit", None)) is not None:
        return bool(jit.is_enabled())
    built = "_Py_JIT" in (sysconfig.get_config_var("PY_CORE_CFLAGS") or "")
    return built and os.environ.get("PYTHON_JIT") == "1"
