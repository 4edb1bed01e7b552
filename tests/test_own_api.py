"""A project carries an API that others specified, without an edit of a managed file."""

from collections.abc import Callable, Iterator

import pytest
from conftest import Project, once
from questionnaire import engines

pytestmark = pytest.mark.deep

ERRORS = '''"""The error format of another team."""

from typing import Self

from app.core import ErrorBody, Problem


class Errors(ErrorBody):
    """All errors in one list."""

    errors: dict[str, list[str]]

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """Return the messages of the problem."""
        return cls(errors={"body": [error.message for error in problem.errors or ()] or [problem.detail]})
'''


@pytest.fixture(params=once(engines()))
def service(installed: Callable[..., Project], request: pytest.FixtureRequest) -> Iterator[Project]:
    """Yield an installed service of each framework, and restore it afterwards."""
    service = installed(**request.param)
    yield service
    service.run("git", "reset", "--quiet", "--hard")
    service.run("git", "clean", "--quiet", "--force", "-d", "src", "tests")


def test_suite_passes_with_an_own_error_format(service: Project) -> None:
    app = service.path / "src/app"
    (app / "errors.py").write_text(ERRORS)
    if (app / "settings.py").exists():
        with (app / "settings.py").open("a") as settings:
            settings.write('\nERROR_BODY = "app.errors.Errors"\n')
    else:
        text = (app / "main.py").read_text()
        text = text.replace("create_core_app(settings)", "create_core_app(settings, error_body=Errors)")
        (app / "main.py").write_text(text.replace("create_core_app\n", "create_core_app\nfrom app.errors import Errors\n"))
    service.run_inside("poe", "check")
