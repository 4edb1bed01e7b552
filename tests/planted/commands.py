"""Runs `python -m MODULE` in a new process that already has the libraries: to import them is most of a command's time.

Each line of the input is a command, and each line of the output an exit code. The code of the service is imported by
the new process alone.
"""

import atexit
import json
import os
import runpy
import signal
import sys
import traceback
from contextlib import suppress
from importlib import import_module

LIBRARIES = (
    "alembic.autogenerate",
    "alembic.command",
    "asyncpg",
    "django.core.management",
    "django.db.migrations",
    "fastapi",
    "psycopg",
    "pydantic_settings",
    "sqlalchemy.ext.asyncio",
    "structlog",
)


def run(folder: str, arguments: list[str], environment: dict[str, str], entered: str, printed: str) -> int:
    signal.alarm(120)
    sys.dont_write_bytecode = True  # two texts of one size within a second would have the same bytecode
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(entered, os.O_RDONLY), 0)
    os.dup2(os.open(printed, os.O_WRONLY), 1)
    os.dup2(1, 2)
    sys.stdin = open(0)  # noqa: SIM115 # without what was read ahead
    sys.path[:0] = ["", environment["PYTHONPATH"]]
    module, *sys.argv[1:] = arguments
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)  # noqa: T201
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 # as Python at the end of a process
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    del sys.path[0]
    for library in LIBRARIES:
        with suppress(ImportError):
            import_module(library)
    assert "app" not in sys.modules
    for line in sys.stdin:
        if not (child := os.fork()):
            code = run(*json.loads(line))
            atexit._run_exitfuncs()  # noqa: SLF001
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201
