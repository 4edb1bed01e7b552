"""How many files of a service a request passes through: what a reader must open to follow it.

    uv run python benchmarks/walk.py [--framework fastapi] [--service FOLDER] [--trace]

Renders a service of each framework with everything on (or uses FOLDER). With `sys.setprofile`, counts the files of
`src/app` that the second request of its kind enters, and the changes from one file to another. `--trace` prints each
function.
"""

import argparse
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from common import UV, copier, copy_template, everything, run, table

GOALS = {
    "fastapi": {"POST /orders": (12, 18), "GET /users/{id}": (8, 10)},
    "django": {"POST /orders": (15, 26), "GET /users/{id}": (11, 14)},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--framework", choices=GOALS, action="append", help="both, unless one is named")
    parser.add_argument("--service", type=Path, metavar="FOLDER", help="measure this service instead of a render")
    parser.add_argument("--trace", action="store_true", help="print each function that is entered")
    options = parser.parse_args()
    rows = [["request", "files", "goal", "changes of file", "goal"]]
    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)
        if options.service:
            services = [options.service.absolute()]
        else:
            copy_template(parent / "template")
            services = [render(parent, framework) for framework in options.framework or GOALS]
        for service in services:
            framework = "django" if (service / "manage.py").exists() else "fastapi"
            for request, path in walks(service):
                if options.trace:
                    print(f"\n{framework}: {request}", *path, sep="\n  ")
                files = [step.partition(" ")[0] for step in path]
                changes = sum(one != other for one, other in pairwise(files))
                most_files, most_changes = GOALS[framework][request]
                rows.append(
                    [f"{framework}: {request}", f"{len(set(files))}", f"{most_files}", f"{changes}", f"{most_changes}"]
                )
    table(*rows)


def render(parent: Path, framework: str) -> Path:
    """Render and install a new service of this framework."""
    service = parent / framework
    run(*copier(parent / "template", service, *everything(), f"--data=framework={framework}"), folder=parent)
    run(UV, "sync", "--quiet", folder=service)
    return service


def walks(service: Path) -> list[tuple[str, list[str]]]:
    """Yield each request, and the functions of `src/app` that it entered, each as `file name`."""
    program = service / ".venv" / "bin" / "python"
    if not program.exists():
        sys.exit(f"Missing environment in {service}: run `uv sync` there.")
    said = run(program, Path(__file__).with_name("walked.py"), folder=service)
    found: list[tuple[str, list[str]]] = []
    for line in said.splitlines():
        kind, _, text = line.partition(": ")
        if kind == "request":
            found.append((text, []))
        elif kind == "enter":
            found[-1][1].append(text)
    return found


if __name__ == "__main__":
    main()
