"""Apply each mutation of a file to this service, run its tests, and print a line of JSON with the outcome.

Each run is a fork of this process, which has imported all libraries, but no module of the service.
"""

import json
import multiprocessing
import os
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

SECONDS = 120
SERVER = "from app.core.database import embedded; print(embedded.start('postgres'), flush=True); input()"
COLLECT = "import pytest, sys; pytest.main(['-n0', '-qq', '--collect-only']); print(); print(*sys.modules)"
OWN = {"__main__", "app", "tests", "django", "ninja"}  # Django's packages read the settings of the service
OPTIONS = (
    "-q",
    "-n0",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:randomly",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)


class Outcome:
    """Runs only the named tests, until one fails by an assertion. Notes those that pass, and the last failure."""

    def __init__(self, tests: list[str]) -> None:
        self.tests = {tuple(test.split("::")) for test in tests}
        self.found: dict[str, Any] = {"passed": [], "failure": "", "asserted": False}

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        items[:] = [item for item in items if (item.nodeid.partition("::")[0], item.originalname) in self.tests]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.found["passed"].append(report.nodeid)

    def pytest_exception_interact(
        self, node: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
    ) -> None:
        assert call.excinfo
        asserted = call.when == "call" and isinstance(call.excinfo.value, (AssertionError, pytest.fail.Exception))
        self.found |= {"failure": f"{report.nodeid}: {call.excinfo.exconly()}", "asserted": asserted}
        node.session.shouldfail = asserted


def run(tests: list[str], results: Connection) -> None:
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, sys.stdout.fileno())
    os.dup2(quiet, sys.stderr.fileno())
    outcome = Outcome(tests)
    pytest.main([*OPTIONS, *sorted({file for file, _ in outcome.tests})], plugins=[outcome])
    results.send(outcome.found)


def outcome_of(tests: list[str]) -> dict[str, Any]:
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    process = fork.Process(target=run, args=(tests, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv() if receiver.poll(SECONDS) else {"failure": f"more than {SECONDS} seconds"}
    except EOFError:
        return {"failure": "the tests did not run"}
    finally:
        process.kill()
        process.join()


def main() -> None:
    sys.path.insert(0, str(Path.cwd()))
    python = (sys.executable, "-c")
    server = subprocess.Popen((*python, SERVER), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    os.environ["TEST_DATABASE_URL"] = server.stdout.readline().strip()
    modules = subprocess.check_output((*python, COLLECT), text=True).splitlines()[-1].split()
    # From now on: the bytecode of a mutation may have the time and the size of its source after the mutation.
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    for module in modules:
        if OWN.isdisjoint(module.split(".")):
            with suppress(ImportError):  # some extension modules add submodules that cannot be imported by name
                import_module(module)
    for mutation in json.loads(Path(sys.argv[1]).read_text()):
        path = Path(mutation["file"])
        source = path.read_text()
        path.write_text(source.replace(mutation["find"], mutation["replace"]))
        try:
            found = outcome_of(mutation["tests"])
        finally:
            path.write_text(source)
        print(json.dumps({"item": mutation["item"], **found}), flush=True)  # noqa: T201
    server.communicate("\n")


main()
