"""Apply new migrations while `poe dev` runs."""

import subprocess
import sys

from app.core.slices import PACKAGE


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
