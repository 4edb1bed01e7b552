"""Names and formatting of the migration files that `poe revision` writes."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def slug(message: str) -> str:
    """Return the message as a slug for a file name: lower-case words joined by underscores, at most 40 characters."""
    return re.sub(r"\W+", "_", message.lower()).strip("_")[:40].strip("_")


def report(paths: Sequence[Path], warnings: Sequence[str] = ()) -> str:
    """Format the written migrations with Ruff and the rules of the project. Return the text to print."""
    if not paths:
        return "Nothing to write: the migrations make what the models describe."
    for command in (["check", "--fix", "--exit-zero"], ["format"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, "--quiet", *paths], check=False)  # noqa: S603
    written = [f"Wrote {path.resolve().relative_to(Path.cwd(), walk_up=True)}" for path in paths]
    return "\n".join([*(f"Warning: {warning}" for warning in warnings), *written])


def describe_failure(migration: str, statement: str, reason: str, *, atomic: bool = True) -> str:
    """Return an error message for a statement that the database refused. `migration` may be empty."""
    done = "which changed nothing" if atomic else "which is not atomic: what it did before stays"
    place = f"in the migration {migration}, {done}; statement" if migration else "statement"
    return f"{reason} ({place}: {' '.join(statement.split())})"
