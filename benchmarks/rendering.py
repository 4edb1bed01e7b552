"""Time of a render compared with Copier's own cost, and time from nothing to green tests.

    uv run python benchmarks/rendering.py [--rounds 10] [--no-green]

Both templates are rendered alternately, as whole processes. The other template contains the rendered files as plain
files, without questions: the minimum cost of Copier.
"""

import argparse
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from common import ENVIRONMENT, UV, commit, copier, copy_template, everything, median, run, spread, table

LIMITS = {"fastapi": "<= 10", "django": "<= 12"}


def wall(*command: str, folder: Path) -> float:
    started = time.perf_counter()
    run(*command, folder=folder)
    return time.perf_counter() - started


def render_both(folder: Path, rounds: int) -> list[list[str]]:
    """Render this template and the plain one alternately."""
    template, plain, rendered = folder / "template", folder / "plain", folder / "rendered"
    copy_template(template)
    run(*copier(template, rendered, *everything()), folder=folder)
    shutil.copytree(rendered, plain / "template")
    (plain / "copier.yml").write_text("_subdirectory: template\n", "utf-8")
    commit(plain)
    ours: list[float] = []
    floor: list[float] = []
    for number in range(rounds):
        ours.append(wall(*copier(template, folder / f"ours-{number}", *everything()), folder=folder))
        floor.append(wall(*copier(plain, folder / f"plain-{number}"), folder=folder))
    files = sum(path.is_file() for path in rendered.rglob("*"))
    ratios = [one / other for one, other in zip(ours, floor, strict=True)]
    return [
        [f"render, {files} files", f"{spread(ours)} s", ""],
        [f"Copier's own cost, {files} plain files", f"{spread(floor)} s", ""],
        ["ratio of the medians", f"{median(ours) / median(floor):.2f} x", "<= 1.15"],
        ["ratios, round by round", f"{spread(ratios)} x", ""],
    ]


def nothing_to_green(folder: Path, framework: str) -> list[list[str]]:
    """Render the default answers, install and test, after one run that fills the package caches.

    The installation does not ask the registry, because that time depends on the network.
    """
    template = folder / "template"
    for name, asking in (("warm", ()), ("green", ("--offline",))):
        folder = folder / f"{framework}-{name}"
        steps = {"render": wall(*copier(template, folder, f"--data=framework={framework}"), folder=folder)}
        steps["install"] = wall(UV, "sync", "--quiet", *asking, folder=folder)
    steps["tests"], passed, state = tested(folder, "poe", "test")
    again, _, again_state = tested(folder, "poe", "test")
    seconds, all_passed, all_state = tested(folder, "pytest", "--quiet")
    return [
        [f"{framework}, from nothing to green, warm cache", f"{sum(steps.values()):.1f} s, {state}", LIMITS[framework]],
        ["  render and install", f"{steps['render']:.1f} + {steps['install']:.1f} s", ""],
        [f"  the first poe test, {passed} tests", f"{steps['tests']:.1f} s", ""],
        ["  any other", f"{again:.1f} s, {again_state}", "<= 6, >= 100 tests"],
        [f"  with the slow ones, {all_passed} tests", f"{seconds:.1f} s, {all_state}", ""],
    ]


def tested(folder: Path, *command: str) -> tuple[float, str, str]:
    """Return the seconds of the tests, how many passed, and whether all did."""
    started = time.perf_counter()
    tests = subprocess.run(
        [UV, "run", *command], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    passed = re.search(r"(\d+) passed", tests.stdout)
    state = "green" if tests.returncode == 0 else "RED: " + (tests.stdout.strip() or tests.stderr).splitlines()[-1]
    return seconds, passed[1] if passed else "0", state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=10, help="renders of each template (default: %(default)s)")
    parser.add_argument("--no-green", action="store_true", help="leave out the install and the tests")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        rows = render_both(Path(folder), options.rounds)
        if not options.no_green:
            for framework in LIMITS:
                rows += nothing_to_green(Path(folder), framework)
    table(["what", "median (lowest-highest)", "target"], *rows)


if __name__ == "__main__":
    main()
