"""Serve with reload, for `poe dev`: new migrations are applied, and broken code is an answer."""

import subprocess
import sys
import traceback
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from socket import socket
from typing import Any

import uvicorn
from uvicorn._subprocess import get_subprocess
from uvicorn.supervisors.watchfilesreload import FileFilter, WatchFilesReload

from app.core.config import ConfigError, Settings
from app.core.http.server.run import server_config
from app.core.problems import Problem, ServerError, document
from app.core.slices import PACKAGE, SliceError


class NewMigrations:
    """Applies migrations that are new or changed since the last reload."""

    def __init__(self) -> None:
        self._known = self._find()

    def apply(self) -> None:
        """Run `migrate` in a new process, because this process has imported the old modules."""
        found = self._find()
        if found != self._known:
            done = subprocess.run([sys.executable, "-m", "app", "migrate"], check=False)
            if done.returncode == 0:  # after an error, try again at the next reload
                self._known = found

    @staticmethod
    def _find() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in PACKAGE.rglob("migrations/*.py")}


class CodeFilter(FileFilter):
    """Accepts Python files and folders. The files of a new folder may exist before the watcher watches that folder."""

    def __call__(self, path: Path) -> bool:
        return super().__call__(path) or (path.is_dir() and path.name != "__pycache__")


class Explanation:
    """An ASGI application that answers every request with the reason why the service did not start."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", Problem.media_type.encode())]
        await send({"type": "http.response.start", "status": ServerError.status, "headers": headers})
        await send({"type": "http.response.body", "body": document(ServerError(self._reason), scope["path"], Problem)})


def run_with_reload(factory: str, settings: Settings, **options: Any) -> None:
    """Serve an application in a child process, which a change below `src/app` replaces. Applies new migrations."""
    new = NewMigrations()
    config = server_config(
        factory,
        settings,
        factory=True,
        reload=True,
        reload_dirs=[str(PACKAGE)],
        reload_delay=0,
        timeout_graceful_shutdown=1,  # an open stream must not delay a reload
        **options,
    )

    class Reload(WatchFilesReload):
        def __init__(self) -> None:
            super().__init__(config, partial(serve, factory, config), [config.bind_socket()])
            self.watch_filter = CodeFilter(config)

        def restart(self) -> None:
            new.apply()
            if sys.platform == "win32":
                super().restart()
                return
            # As uvicorn does, but the next process imports the code while the last one stops.
            last = self.process
            last.terminate()
            self.process = get_subprocess(self.config, self.target, self.sockets)
            self.process.start()
            last.join()

    Reload().run()


def serve(factory: str, config: uvicorn.Config, sockets: list[socket] | None) -> None:
    """Serve until the next change. The parent keeps the socket open: without a server, requests would get no answer."""
    try:
        config.app, config.factory = resolve_name(factory)(), False  # uvicorn would hide where a TypeError is
        uvicorn.Server(config).run(sockets)
    except (Exception, SystemExit) as error:
        app = Explanation(_report(error))
        instead = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, access_log=False, server_header=False)
        uvicorn.Server(instead).run(sockets)


def _report(error: Exception | SystemExit) -> str:
    """Print the error, unless the process ended with a logged reason. Return it as one sentence."""
    if isinstance(error, SystemExit) and not isinstance(error.code, str):
        return "The service did not start: see the output of `poe dev`."
    if isinstance(error, (ConfigError, SliceError, SystemExit)):
        print(error, file=sys.stderr)
        return str(error)
    traceback.print_exception(error)
    return traceback.format_exception_only(error)[-1].strip()
