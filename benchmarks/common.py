"""Shared by the benchmarks: a render with everything on, processes in a clean environment, and a table."""

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[1]
UV = os.environ.get("UV", "uv")  # `uv run` sets UV

# Without bytecode files, Copier takes three times as long. Variables of this project's environment lead
# tools of the render to the wrong environment.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in {"PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "DATABASE_URL", "TEST_DATABASE_URL"}
}


def run(*command: str | Path, folder: Path = PROJECT) -> str:
    """Run a command and return its output. If it fails, the benchmark fails with that output."""
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def commit(folder: Path) -> None:
    """Make a git repository of `folder` and commit everything."""
    run("git", "init", "--quiet", folder)
    run("git", "-C", folder, "add", "--all", "--force")
    run("git", "-C", folder, "-c", "user.name=bench", "-c", "user.email=", "commit", "--quiet", "--message=All")


def copy_template(folder: Path) -> None:
    """Copy the working tree of this template into a new git repository."""
    for name in run("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (source := PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    commit(folder)


def copier(template: Path, folder: Path, *options: str) -> list[str]:
    """Return the command that renders `template`."""
    program = shutil.which("copier") or sys.exit("Missing program copier: run `uv run python benchmarks/…`.")
    return [program, "copy", "--quiet", "--vcs-ref=HEAD", "--defaults", *options, str(template), str(folder)]


def everything() -> list[str]:
    """Return the options that switch on all features."""
    questions = yaml.safe_load((PROJECT / "copier.yml").read_text("utf-8"))
    return [f"--data=features={list(questions['features']['choices'].values())}"]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float], form: str = "{:.2f}") -> str:
    """Return the median with the lowest and highest value, which show how noisy the machine was."""
    low, high = form.format(min(values)), form.format(max(values))
    return f"{form.format(median(values))} ({low}-{high})"


def table(*rows: Sequence[str]) -> None:
    """Print rows in columns, after a row of names."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
