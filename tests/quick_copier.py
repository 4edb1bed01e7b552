"""Copier's command line without repeated work: the tests render and update several hundred times.

Copier compiles the parts of each path again for each file, and starts git after each file to read one setting. Both
are half of the time of a render.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from copier._cli import CopierApp
from copier._main import Worker
from copier._vcs import get_git
from jinja2 import Environment

COMPILED: dict[tuple[Any, ...], Any] = {}

compile_anew = Environment.compile
set_mode = Worker._sync_git_index_executable_bit  # noqa: SLF001


def compile_once(environment: Environment, *source: Any) -> Any:
    if source not in COMPILED:
        COMPILED[source] = compile_anew(environment, *source)
    return COMPILED[source]


def set_mode_if_ignored(worker: Worker, path: Path, mode: int) -> None:
    """Read the setting of git once for each render."""
    known = vars(worker)
    if "file_mode" not in known:
        git = get_git(context_dir=worker.subproject.local_abspath)
        known["file_mode"] = git("config", "--type=bool", "--get", "core.fileMode", retcode=None).strip()
    if known["file_mode"] == "false":
        set_mode(worker, path, mode)


def hasten(patch: Callable[[type, str, Any], None] = setattr) -> None:
    patch(Environment, "compile", compile_once)
    patch(Worker, "_sync_git_index_executable_bit", set_mode_if_ignored)


if __name__ == "__main__":
    hasten()
    sys.argv[0] = "copier"
    sys.exit(CopierApp.run())
