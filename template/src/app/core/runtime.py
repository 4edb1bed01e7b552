"""The Python that the service runs on; `python -m app.core.runtime` says which.

A Python that is too old must be able to read this file, or it could not say so: nothing here is newer than 3.8.
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
    """The interpreter is older than what the code is written for; the message says which is needed."""


class Runtime(NamedTuple):
    """What kind of interpreter this is."""

    version: str
    gil: bool
    """False only on a free-threaded build (PEP 703) that runs without the lock."""
    jit: bool
    """True when the just-in-time compiler (PEP 744) is built in and PYTHON_JIT=1 turned it on."""
    cores: int
    """That this process may use."""


def current() -> Runtime:
    """The running interpreter."""
    return Runtime(
        version=".".join(map(str, sys.version_info[:3])),
        gil=_gil_enabled(),
        jit=_jit_enabled(),
        cores=os.process_cpu_count() or 1,
    )


def check_version(version: tuple[int, ...] | None = None) -> None:
    """PythonTooOldError when `version`, or what runs this, is older than what the code is written for."""
    version = version or sys.version_info[:2]
    if version < MINIMUM:
        need, have = (".".join(map(str, v)) for v in (MINIMUM, version))
        raise PythonTooOldError(f"This service needs Python {need} or newer, but runs on {have}.")


def parallel_map(function: Callable[[T], R], items: Iterable[T], *, workers: int | None = None) -> list[R]:
    """`function` of every item, in order, on as many cores as there are (or `workers`).

    For work that keeps a core busy. Without the GIL threads do it; with it, processes, so `function` and the items
    must be picklable there.
    """
    count = workers or current().cores
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


def main(arguments: list[str] | None = None) -> None:
    """Print what this Python is: a table for people, with `--json` an object for machines."""
    parser = argparse.ArgumentParser(prog="app.core.runtime", description="Say which Python this is.")
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
