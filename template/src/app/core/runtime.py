"""The Python interpreter of the service. `python -m app.core.runtime` describes it.

This file uses only the syntax of Python 3.8, because an interpreter that is too old must be able to report that.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import sysconfig
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MINIMUM = (3, 13)

T = TypeVar("T")
R = TypeVar("R")


class PythonTooOldError(Exception):
    """The interpreter is too old; the message says which version is required."""


class Runtime(NamedTuple):
    """Properties of the Python interpreter."""

    version: str
    gil: bool
    """False only on a free-threaded build (PEP 703) that runs without the GIL."""
    jit: bool
    """True when the just-in-time compiler (PEP 744) is built in and PYTHON_JIT=1 turned it on."""
    cores: int
    """Number of CPU cores that this process may use."""


def current() -> Runtime:
    """Return the properties of the running interpreter."""
    return Runtime(
        version=".".join(map(str, sys.version_info[:3])),
        gil=_gil_enabled(),
        jit=_jit_enabled(),
        cores=os.process_cpu_count() or 1,
    )


def check_version(version: tuple[int, ...] | None = None) -> None:
    """Raise PythonTooOldError when `version`, by default that of the running interpreter, is below MINIMUM."""
    version = version or sys.version_info[:2]
    if version < MINIMUM:
        need, have = (".".join(map(str, v)) for v in (MINIMUM, version))
        raise PythonTooOldError(f"This service needs Python {need} or newer, but runs on {have}.")


def parallel_map(function: Callable[[T], R], items: Iterable[T], *, workers: int | None = None) -> list[R]:
    """Call `function` with every item, in parallel on all cores (or `workers`). Return the results in order.

    For CPU-bound work. Uses threads without the GIL, and processes with the GIL. For processes, `function`, items and
    results must be picklable.
    """
    count = workers or current().cores
    pool: Executor = ProcessPoolExecutor(count) if _gil_enabled() else ThreadPoolExecutor(count)
    with pool:
        return list(pool.map(function, items))


def _gil_enabled() -> bool:
    return sys._is_gil_enabled()  # noqa: SLF001 -- documented, despite its name


def _jit_enabled() -> bool:
    # Python 3.14 reports the state of the JIT; 3.13 only its build and environment.
    if (jit := getattr(sys, "_jit", None)) is not None:
        return bool(jit.is_enabled())
    built = "_Py_JIT" in (sysconfig.get_config_var("PY_CORE_CFLAGS") or "")
    return built and os.environ.get("PYTHON_JIT") == "1"


def main(arguments: list[str] | None = None) -> None:
    """Print the properties of the interpreter: a table, or JSON with `--json`."""
    parser = argparse.ArgumentParser(prog="app.core.runtime", description="Describe the Python interpreter.")
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args(arguments)
    try:
        check_version()
    except PythonTooOldError as error:
        sys.exit(str(error))
    runtime = current()
    if options.json:
        print(json.dumps(runtime._asdict()))
    else:
        print("Python", runtime.version, sep="\t")
        print("GIL", "on" if runtime.gil else "off", sep="\t")
        print("JIT", "on" if runtime.jit else "off", sep="\t")
        print("cores", runtime.cores, sep="\t")


if __name__ == "__main__":
    main()
